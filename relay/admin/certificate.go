package admin

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS is the certificate of the TCP address. The files are read again when they change.
type TLS struct{ Cert, Key string }

// certificateAge is how long a certificate is used before its files are looked at again.
const certificateAge = time.Minute

// certificate is the certificate in use. A pair of files that does not fit, as while they
// are being replaced, leaves the one before.
type certificate struct {
	files TLS
	now   func() time.Time

	mu       sync.Mutex
	current  *tls.Certificate
	looked   time.Time
	modified time.Time
}

func newCertificate(files TLS, now func() time.Time) (*certificate, error) {
	c := &certificate{files: files, now: now}
	return c, c.read()
}

// read takes the files in.
func (c *certificate) read() error {
	c.looked = c.now()
	info, err := os.Stat(c.files.Cert)
	if err != nil {
		return fmt.Errorf("admin certificate: %w", err)
	}
	if c.current != nil && info.ModTime().Equal(c.modified) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("admin certificate: %w", err)
	}
	c.current, c.modified = &pair, info.ModTime()
	return nil
}

// get is for tls.Config.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.looked) >= certificateAge {
		_ = c.read() // the one before holds
	}
	return c.current, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}
