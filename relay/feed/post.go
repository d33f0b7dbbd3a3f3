package feed

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// postTime is how long a webhook has to answer.
const postTime = 15 * time.Second

// newClient follows nobody elsewhere: what is signed for one address is not for another.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       postTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// secretLeast is how short a secret may be, in bytes, as the specification says.
const secretLeast = 24

// secretOf gives the bytes of a secret.
func secretOf(text string) ([]byte, error) {
	secret := []byte(text)
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("what follows whsec_ is not base64: %w", err)
		}
	}
	if len(secret) < secretLeast {
		return nil, fmt.Errorf("shorter than %d bytes: make one with openssl rand -base64 32", secretLeast)
	}
	return secret, nil
}

// CheckSecret says what is wrong with a secret.
func CheckSecret(text string) error {
	_, err := secretOf(text)
	return err
}

// Sign gives the signature of a webhook, as the Standard Webhooks specification has it.
func Sign(secret []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// posted is the body of a webhook.
type posted struct {
	Type      string            `json:"type"`
	Timestamp time.Time         `json:"timestamp"`
	Data      map[string]events `json:"data"`
}

type events = []json.RawMessage

// post sends a batch. It was taken when the answer is a 2xx.
func (h *hook) post(ctx context.Context, b *batch) error {
	now := h.f.o.Now()
	body, err := json.Marshal(posted{Type: "postrider.events", Timestamp: now, Data: map[string]events{"events": b.events}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	// The same events have the same id, so that a batch that comes twice can be told.
	id := "msg_" + b.first + "_" + b.last
	if b.first == "" {
		id = fmt.Sprintf("msg_gap_%d_%d", b.from.Segment, b.from.Offset)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "postrider")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", Sign(h.secret, id, now, body))
	resp, err := h.f.o.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New("it answers " + resp.Status)
	}
	// What is read lets the connection be used again. The batch was taken however that ends.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return nil
}
