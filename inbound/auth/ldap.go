package auth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// LDAPOptions name a directory that knows users. Who a user is comes from UserDN, or from a
// search with Filter.
type LDAPOptions struct {
	// URLs are tried in order: ldap://host, ldaps://host or ldapi:///path.
	URLs []string
	// StartTLS encrypts sessions with ldap:// URLs.
	StartTLS bool
	// CAFile has the certificates to trust, as PEM; the system's where it is "".
	CAFile string
	// Plain allows passwords on the network in clear.
	Plain bool
	// UserDN is whom to bind as, such as "uid={user},ou=people,dc=example,dc=com".
	UserDN string
	// BindDN and BindPassword are for the search; it is anonymous without them.
	BindDN, BindPassword string
	// Base and Filter are for the search, such as "(&(objectClass=person)(uid={user}))".
	Base, Filter string
	// SenderAttribute has the addresses that the user may send as, such as "mail"; ""
	// lets users send as anybody. It needs a Filter.
	SenderAttribute string
	// Timeout bounds each step. 5 s by default.
	Timeout time.Duration
	// Connections bounds the attempts at once. 8 by default.
	Connections int
}

// userMark is what stands for the user's name in UserDN and Filter.
const userMark = "{user}"

// directory is the backend of an LDAP directory. It keeps connections that worked.
type directory struct {
	o   LDAPOptions
	tls *tls.Config

	mu   sync.Mutex
	idle []*ldap.Conn
}

func newLDAP(o LDAPOptions) (*directory, error) {
	o.Timeout, o.Connections = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Connections, DefaultLDAPConnections)
	d := &directory{o: o}
	err := o.Validate()
	if err == nil {
		d.tls, err = clientTLS(o.CAFile)
	}
	if err != nil {
		return d, fmt.Errorf("users: ldap: %w", err)
	}
	return d, nil
}

// Validate finds all that is wrong with the options.
func (o LDAPOptions) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(o.URLs) == 0 {
		fault("no url")
	}
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" && u.Scheme != "ldapi":
			fault("%q is not a URL such as ldaps://ldap.example.com", text)
		case u.Scheme == "ldap" && !o.StartTLS && !o.Plain && !isLoopback(u.Host):
			fault("%s would show passwords to the network: use ldaps, or set starttls: true or plain: true", text)
		}
	}
	switch {
	case (o.UserDN == "") == (o.Filter == ""):
		fault("needs either user_dn or filter")
	case !strings.Contains(o.UserDN+o.Filter, userMark):
		fault("%q has no %s", o.UserDN+o.Filter, userMark)
	case o.Filter != "":
		if _, err := ldap.CompileFilter(o.filter("x")); err != nil {
			fault("filter %q: %w", o.Filter, err)
		}
	case o.SenderAttribute != "":
		fault("senders needs a filter")
	}
	if o.Timeout < 0 || o.Connections < 0 {
		fault("timeout and connections must be more than 0")
	}
	if _, err := clientTLS(o.CAFile); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (o LDAPOptions) filter(user string) string {
	return strings.ReplaceAll(o.Filter, userMark, ldap.EscapeFilter(user))
}

// Authenticate implements Backend.
func (d *directory) Authenticate(ctx context.Context, a Attempt) (*Identity, error) {
	// Directories compare names without regard to case and to how many spaces there are; here
	// each user is to be one.
	user := fold(a.User)
	for {
		conn, used, err := d.connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("users: ldap: %w", err)
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		id, err := d.authenticate(conn, user, a.Password)
		if stop() && (err == nil || errors.Is(err, ErrCredentials) || errors.Is(err, ErrUnknown)) {
			d.keep(conn)
			return id, err
		}
		conn.Close()
		// A connection that has rested may be gone; a new one tells.
		if !used || ctx.Err() != nil || isAnswer(err) {
			return nil, fmt.Errorf("users: ldap: %w", err)
		}
	}
}

// isAnswer says whether the error is the directory's, and not that of a broken connection.
func isAnswer(err error) bool {
	answer, ok := errors.AsType[*ldap.Error](err)
	return ok && answer.ResultCode < ldap.ErrorNetwork
}

// connect returns a connection; used says that it was used before.
func (d *directory) connect(ctx context.Context) (conn *ldap.Conn, used bool, err error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 {
		conn, d.idle = d.idle[n-1], d.idle[:n-1]
	}
	d.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	var faults []error
	for _, u := range d.o.URLs {
		conn, err := d.dial(ctx, u)
		if err == nil {
			return conn, false, nil
		}
		faults = append(faults, fmt.Errorf("%s: %w", u, err))
	}
	return nil, false, errors.Join(faults...)
}

func (d *directory) dial(ctx context.Context, text string) (*ldap.Conn, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	config := d.tls.Clone()
	config.ServerName = u.Hostname()
	deadline, ok := ctx.Deadline()
	dialer := &net.Dialer{Timeout: d.o.Timeout}
	if ok {
		dialer.Deadline = deadline
	}
	conn, err := ldap.DialURL(text, ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(d.o.Timeout)
	if u.Scheme == "ldap" && d.o.StartTLS {
		if err := conn.StartTLS(config); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

func (d *directory) keep(conn *ldap.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if conn.IsClosing() || len(d.idle) >= d.o.Connections {
		conn.Close()
		return
	}
	d.idle = append(d.idle, conn)
}

// Close closes idle connections.
func (d *directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range d.idle {
		conn.Close()
	}
	d.idle = nil
	return nil
}

// authenticate finds out who the user is, and whether the directory takes the password.
func (d *directory) authenticate(conn *ldap.Conn, user, password string) (*Identity, error) {
	id := &Identity{User: user}
	dn := strings.ReplaceAll(d.o.UserDN, userMark, ldap.EscapeDN(user))
	if d.o.Filter != "" {
		var err error
		if dn, err = d.find(conn, id); err != nil {
			return nil, err
		}
	}
	err := conn.Bind(dn, password)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return nil, ErrCredentials
	}
	if err != nil {
		return nil, fmt.Errorf("bind as %s: %w", dn, err)
	}
	return id, nil
}

// find searches for the user, and sets what it finds beside the name. The connection may
// still be bound as the user before.
func (d *directory) find(conn *ldap.Conn, id *Identity) (dn string, err error) {
	if d.o.BindDN == "" {
		err = conn.UnauthenticatedBind("")
	} else {
		err = conn.Bind(d.o.BindDN, d.o.BindPassword)
	}
	if err != nil {
		return "", fmt.Errorf("bind as %q for the search: %w", d.o.BindDN, err)
	}
	attributes := []string{"1.1"} // none (RFC 4511 section 4.5.1.8)
	if d.o.SenderAttribute != "" {
		attributes = []string{d.o.SenderAttribute}
	}
	result, err := conn.Search(ldap.NewSearchRequest(d.o.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		2, int(d.o.Timeout.Seconds()), false, d.o.filter(id.User), attributes, nil))
	if err != nil {
		return "", fmt.Errorf("search for user %q: %w", id.User, err)
	}
	switch n := len(result.Entries); {
	case n == 0:
		return "", ErrUnknown
	case n > 1:
		return "", fmt.Errorf("search for user %q: more than one entry matches", id.User)
	}
	entry := result.Entries[0]
	if d.o.SenderAttribute != "" {
		// Without an address of their own, users may not send as everybody's.
		id.Senders = append(nobody(), addresses(entry.GetAttributeValues(d.o.SenderAttribute))...)
	}
	return entry.DN, nil
}

// nobody allows no sender but the null reverse-path.
func nobody() Senders { return Senders{""} }

// addresses leaves out what is none, such as an X.400 address. Active Directory's
// proxyAddresses say of each what it is.
func addresses(values []string) []string {
	var found []string
	for _, v := range values {
		if kind, address, ok := strings.Cut(v, ":"); ok && strings.EqualFold(kind, "smtp") {
			v = address
		}
		if CheckSender(v) == nil && v != "" && !strings.HasPrefix(v, "@") {
			found = append(found, v)
		}
	}
	return found
}
