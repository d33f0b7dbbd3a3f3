package configs

import (
	"path/filepath"

	"postrider/outbound"
	"postrider/outbound/tlsrpt"
	"postrider/relay"
)

// tlsReport is who answers for TLS reports. There are none without a contact.
type tlsReport struct {
	Contact      string `yaml:"contact"`
	Organization string `yaml:"organization"`
}

// TLSReports says how domains are told of TLS with their hosts.
type TLSReports struct {
	// Dir is where sessions are counted; "" where nobody is told.
	Dir string
	// Reporter has what is configured.
	Reporter tlsrpt.Options
}

func (f *file) composeTLSReports() TLSReports {
	contact, err := relay.ParseAddress(f.TLSReport.Contact)
	if err != nil || f.TLSReport.Contact == "" {
		return TLSReports{} // a fault is one that check has told of
	}
	return TLSReports{
		Dir: filepath.Join(string(f.Data), "tls-report"),
		Reporter: tlsrpt.Options{
			Hostname: f.Hostname, Contact: contact, Organization: f.TLSReport.Organization,
		},
	}
}

func (f *file) checkTLSReport(r *report) {
	contact := f.TLSReport.Contact
	if contact == "" {
		if f.TLSReport.Organization != "" {
			r.fault("tls_report.organization", "is for reports, which need a contact")
		}
		return
	}
	if a, err := relay.ParseAddress(contact); err != nil || a.Domain == "" || a.Domain[0] == '[' || !a.IsASCII() {
		r.fault("tls_report.contact", "%q is not a mail address such as postmaster@example.com", contact)
	}
}

// tlsOptional says that the operator leaves TLS on the route to the recipients' domains, so that a
// message may ask to be delivered whatever they demand (RFC 8689 section 5).
func (r *route) tlsOptional() bool {
	level := r.level()
	return r.MX && (level == outbound.TLSMay || level == outbound.TLSDANE)
}
