package tlsrpt

// Session is what became of the TLS of one session, for the domain whose mail it carried or
// was opened for.
type Session struct {
	// Domain is that of the recipients, in A-labels.
	Domain string
	Policy Policy
	// Failure says what went wrong; one without a Type says that all is well.
	Failure Failure
}

// Policy is what was asked of the TLS of a session (RFC 8460 section 4.4).
type Policy struct {
	Type PolicyType `json:"policy-type"`
	// Strings are the lines of an MTA-STS policy, or the TLSA records.
	Strings []string `json:"policy-string,omitempty"`
	// Domain is the recipients' for MTA-STS, and the TLSA base domain for DANE.
	Domain string `json:"policy-domain"`
	// Hosts are the patterns of an MTA-STS policy.
	Hosts []string `json:"mx-host,omitempty"`
}

// PolicyType is the kind of a policy.
type PolicyType string

// The kinds of policies (RFC 8460 section 4.4).
const (
	TLSA     PolicyType = "tlsa"
	STS      PolicyType = "sts"
	NoPolicy PolicyType = "no-policy-found"
)

// Failure is what went wrong with a session, and with whom (RFC 8460 section 4.4).
type Failure struct {
	Type ResultType `json:"result-type"`
	// SendingIP is our address, ReceivingIP and Host are those of the peer, and Greeting is the
	// name that it gave.
	SendingIP   string `json:"sending-mta-ip,omitempty"`
	Host        string `json:"receiving-mx-hostname,omitempty"`
	Greeting    string `json:"receiving-mx-helo,omitempty"`
	ReceivingIP string `json:"receiving-ip,omitempty"`
	// Reason is in words.
	Reason string `json:"failure-reason-code,omitempty"`
}

// ResultType is a kind of failure.
type ResultType string

// The kinds of failures (RFC 8460 section 4.3).
const (
	StartTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure"
	TLSAInvalid             ResultType = "tlsa-invalid"
	DNSSECInvalid           ResultType = "dnssec-invalid"
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid        ResultType = "sts-policy-invalid"
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"
)
