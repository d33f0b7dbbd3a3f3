package integration

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strings"
)

// serveAuth answers Postfix, which asks about users in the protocol of Dovecot's authentication
// server, version 1, until ctx ends. The mechanisms are PLAIN and LOGIN.
func serveAuth(ctx context.Context, socket string, s Secured) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil { // smtpd is not root
		l.Close()
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { conn.Close() })
			go answerAuth(conn, s)
		}
	}()
	return nil
}

// answerAuth has the dialogue with one smtpd.
func answerAuth(conn net.Conn, s Secured) {
	defer conn.Close()
	var hello strings.Builder
	hello.WriteString("VERSION\t1\t2\n")
	for name := range strings.FieldsSeq(s.Mechanisms) {
		fmt.Fprintf(&hello, "MECH\t%s\tplaintext\n", name)
	}
	hello.WriteString("SPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n")
	fmt.Fprint(conn, hello.String())
	names := make(map[string]string) // by the number of a LOGIN that has given its name
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		words := strings.Split(lines.Text(), "\t")
		if len(words) < 3 {
			continue
		}
		number, last := words[1], words[len(words)-1]
		response, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(last, "resp="))
		name, named := names[number]
		switch {
		case words[0] == "AUTH" && words[2] == "LOGIN":
			names[number] = ""
			fmt.Fprintf(conn, "CONT\t%s\t%s\n", number, base64.StdEncoding.EncodeToString([]byte("Username:")))
		case words[0] == "AUTH":
			parts := strings.Split(string(response), "\x00")
			good := err == nil && len(parts) == 3 && parts[1] == s.User && parts[2] == s.Password
			judge(conn, number, s.User, good)
		case words[0] == "CONT" && named && name == "":
			names[number] = string(response)
			fmt.Fprintf(conn, "CONT\t%s\t%s\n", number, base64.StdEncoding.EncodeToString([]byte("Password:")))
		case words[0] == "CONT" && named:
			delete(names, number)
			judge(conn, number, s.User, name == s.User && string(response) == s.Password)
		}
	}
}

func judge(conn net.Conn, number, user string, good bool) {
	if good {
		fmt.Fprintf(conn, "OK\t%s\tuser=%s\n", number, user)
		return
	}
	fmt.Fprintf(conn, "FAIL\t%s\tuser=%s\n", number, user)
}
