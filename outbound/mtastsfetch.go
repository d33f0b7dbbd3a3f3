package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"postrider/outbound/tlsrpt"
)

// stsTimeout bounds fetching a policy, stsMaxBytes its size (RFC 8461 section 3.3).
const (
	stsTimeout  = 15 * time.Second
	stsMaxBytes = 64 << 10
)

// fetch gets the policy over HTTPS with a certificate that proves the name.
func (c *stsCache) fetch(ctx context.Context, domain, id string) (stsPolicy, error) {
	ctx, cancel := context.WithTimeout(ctx, stsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return stsPolicy{}, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return stsPolicy{}, err
	}
	defer response.Body.Close()
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || kind != "text/plain" {
		return stsPolicy{}, fmt.Errorf("%w of %s: answered %s, %q", errSTS, domain, response.Status, kind)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, stsMaxBytes+1))
	if err != nil {
		return stsPolicy{}, err
	}
	if len(text) > stsMaxBytes {
		return stsPolicy{}, fmt.Errorf("%w of %s: %w: over %d bytes", errSTS, domain, errSTSInvalid, stsMaxBytes)
	}
	p, err := parsePolicy(string(text), c.now())
	if err != nil {
		return stsPolicy{}, fmt.Errorf("%w: %w", errSTSInvalid, err)
	}
	p.ID, p.Domain = id, domain
	return p, nil
}

// faultOf says which kind of failure it is that a policy could not be had (RFC 8460 section 4.3.2).
func faultOf(err error) stsFault {
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil:
		return stsFault{}
	case errors.As(err, &untrusted):
		return stsFault{tlsrpt.STSWebPKIInvalid, untrusted.Error()}
	case errors.Is(err, errSTSInvalid):
		return stsFault{tlsrpt.STSPolicyInvalid, err.Error()}
	}
	return stsFault{tlsrpt.STSPolicyFetchError, err.Error()}
}
