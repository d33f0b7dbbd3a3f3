package outboundtest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// checkUser runs the dialogue of an AUTH command and says whether it proved something.
func (s *session) checkUser(line string) bool {
	words := strings.Fields(line)
	if len(words) < 2 {
		return false
	}
	response := func() string {
		if len(words) > 2 {
			return decode(words[2])
		}
		return s.challenge("")
	}
	switch strings.ToUpper(words[1]) {
	case "PLAIN":
		parts := strings.Split(response(), "\x00")
		return len(parts) == 3 && s.knows(parts[1], parts[2])
	case "LOGIN":
		user := s.challenge("Username:")
		return s.knows(user, s.challenge("Password:"))
	case "SCRAM-SHA-256":
		return s.scram(response())
	case "XOAUTH2", "OAUTHBEARER":
		return s.bearer(response())
	}
	return false
}

func (s *session) knows(user, password string) bool {
	want, known := s.peer.currentScript().Users[user]
	return known && want == password
}

// bearer takes the responses of XOAUTH2 and of OAUTHBEARER (RFC 7628). It describes a failure in a
// challenge, as both want.
func (s *session) bearer(response string) bool {
	var user, token string
	for part := range strings.SplitSeq(response, "\x01") {
		if value, ok := strings.CutPrefix(part, "user="); ok {
			user = value
		}
		if value, ok := strings.CutPrefix(part, "n,a="); ok {
			user = strings.TrimSuffix(value, ",")
		}
		if value, ok := strings.CutPrefix(part, "auth=Bearer "); ok {
			token = value
		}
	}
	want := s.peer.currentScript().Token
	if want != nil && want(user, token) {
		return true
	}
	s.challenge(`{"status":"401","schemes":"bearer"}`)
	return false
}

// scram is the server of SCRAM-SHA-256 (RFC 5802), with a salt and a nonce that never change.
func (s *session) scram(response string) bool {
	const iterations = 4096
	first, _ := strings.CutPrefix(response, "n,,")
	name, nonce, _ := strings.Cut(strings.TrimPrefix(first, "n="), ",r=")
	user := strings.NewReplacer("=3D", "=", "=2C", ",").Replace(name)
	password := s.peer.currentScript().Users[user]
	salted, err := pbkdf2.Key(sha256.New, password, []byte("salt"), iterations, sha256.Size)
	if err != nil {
		return false
	}
	serverFirst := fmt.Sprintf("r=%sserver,s=%s,i=%d", nonce, base64.StdEncoding.EncodeToString([]byte("salt")), iterations)
	final, proofText, _ := strings.Cut(s.challenge(serverFirst), ",p=")
	message := first + "," + serverFirst + "," + final
	clientKey := sign(salted, "Client Key")
	storedKey := sha256.Sum256(clientKey)
	proof, want := decode(proofText), make([]byte, sha256.Size)
	subtle.XORBytes(want, clientKey, sign(storedKey[:], message))
	if final != "c=biws,r="+nonce+"server" || password == "" || proof != string(want) {
		return false
	}
	verifier := sign(sign(salted, "Server Key"), message)
	if s.peer.currentScript().Impostor {
		verifier[0]++
	}
	s.challenge("v=" + base64.StdEncoding.EncodeToString(verifier))
	return true
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *session) challenge(text string) string {
	s.say("334 " + base64.StdEncoding.EncodeToString([]byte(text)))
	line, err := s.readLine()
	if err != nil {
		return ""
	}
	return decode(line)
}

func decode(text string) string {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	return string(plain)
}
