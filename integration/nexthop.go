package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Secured is how a next hop takes mail: over TLS, from one user alone.
type Secured struct {
	// Cert and Key are files.
	Cert, Key string
	// User and Password are the only ones; Mechanisms are offered, separated by spaces.
	User, Password, Mechanisms string
	// Implicit is an address and port, "127.0.0.46:465", where TLS is spoken from the start.
	Implicit string
	// Socket is where a Dovecot of its own is asked about users; "" for one that is played.
	Socket string
}

// eximSecured takes the folder, the port and a Secured.
const eximSecured = `primary_hostname = exim.test
spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/pid
local_interfaces = <; 127.0.0.1.%[2]d ; %[3]s
tls_on_connect_ports = 465
tls_advertise_hosts = *
tls_certificate = %[4]s
tls_privatekey = %[5]s
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
auth_advertise_hosts = ${if def:tls_in_cipher{*}{}}
acl_smtp_mail = mail
acl_smtp_rcpt = accept
acl_smtp_data = accept
queue_only = true
begin acl
mail:
  deny message = authenticate over TLS
    !authenticated = *
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{%[6]s}}{eq{$auth3}{%[7]s}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = User Name : Password
  server_condition = ${if and{{eq{$auth1}{%[6]s}}{eq{$auth2}{%[7]s}}}}
  server_set_id = $auth1
begin routers
all:
  driver = redirect
  data = :blackhole:
`

// StartSecuredExim starts an Exim that keeps all mail in its queue. It offers PLAIN and LOGIN.
func StartSecuredExim(ctx context.Context, dir string, s Secured) (*Exim, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	implicit := strings.Replace(s.Implicit, ":", ".", 1)
	config := fmt.Sprintf(eximSecured, dir, port, implicit, s.Cert, s.Key, s.User, s.Password)
	return startExim(ctx, dir, port, config)
}

// Queued gives what Exim has written down of the messages in its queue, but for their bodies.
func (e *Exim) Queued() string {
	var all []string
	files, _ := filepath.Glob(filepath.Join(e.dir, "spool", "input", "*-H")) // the pattern is good
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			all = append(all, string(text))
		}
	}
	return strings.Join(all, "\n")
}

// postfixSecured takes the files of a Secured and the socket of whom Postfix asks about users.
const postfixSecured = `smtpd_tls_cert_file = %[1]s
smtpd_tls_key_file = %[2]s
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[3]s
smtpd_sasl_security_options = noanonymous
smtpd_client_restrictions = permit_sasl_authenticated, reject
`

// NewSecuredPostfix is NewPostfix, but mail is taken over TLS from the user alone, as long as ctx
// lasts.
func NewSecuredPostfix(ctx context.Context, dir, nextHop string, s Secured) (*Postfix, error) {
	if s.Socket == "" {
		s.Socket = filepath.Join(dir, "auth")
		if err := serveAuth(ctx, s.Socket, s); err != nil {
			return nil, err
		}
	}
	p, err := NewPostfix(dir, nextHop, fmt.Sprintf(postfixSecured, s.Cert, s.Key, s.Socket))
	if err != nil {
		return nil, err
	}
	master := fmt.Sprintf(postfixMaster, p.addr) + s.Implicit + " inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n"
	return p, p.write("master.cf", master)
}
