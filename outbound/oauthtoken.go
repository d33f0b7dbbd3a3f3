package outbound

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/oauth2"
)

// Token is what a token file holds.
type Token struct {
	Version int `json:"version"`
	// User is the account that it is for.
	User    string `json:"user"`
	Refresh string `json:"refresh_token"`
	// Access may be used until Expires.
	Access  string    `json:"access_token,omitempty"`
	Expires time.Time `json:"expires"`
	// Granted is when a person signed in, Renewed when the refresh token last changed, and
	// Refreshed when the access token was got.
	Granted   time.Time `json:"granted"`
	Renewed   time.Time `json:"renewed"`
	Refreshed time.Time `json:"refreshed"`
}

const (
	tokenVersion = 1
	// maxTokenFile bounds a token file, in bytes.
	maxTokenFile = 1 << 20
	// defaultLife is how long a token is used that came without a lifetime.
	defaultLife = 5 * time.Minute
)

// String hides the secrets.
func (t Token) String() string { return "token of " + t.User }

// GoString is String, so that no way of printing shows the secrets.
func (t Token) GoString() string { return t.String() }

// renew takes in what the endpoint gave. It may have replaced the refresh token.
func (t *Token) renew(got *oauth2.Token, now time.Time) {
	t.Access, t.Refreshed, t.Expires = got.AccessToken, now, now.Add(lifetime(got))
	if got.RefreshToken != "" && got.RefreshToken != t.Refresh {
		t.Refresh, t.Renewed = got.RefreshToken, now
	}
}

func lifetime(t *oauth2.Token) time.Duration {
	if t.ExpiresIn > 0 {
		return time.Duration(t.ExpiresIn) * time.Second
	}
	if seconds, ok := t.Extra("expires_in").(float64); ok && seconds > 0 && seconds < 1e9 {
		return time.Duration(seconds) * time.Second
	}
	return defaultLife
}

// ReadToken reads a token file.
func ReadToken(name string) (Token, error) {
	f, err := os.Open(name)
	if err != nil {
		return Token{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return Token{}, err
	}
	var t Token
	if err := json.Unmarshal(text, &t); err != nil {
		return Token{}, fmt.Errorf("token file %s: %w", name, err)
	}
	if t.Version != tokenVersion || t.Refresh == "" {
		return Token{}, fmt.Errorf("token file %s has no refresh token in a form that is known", name)
	}
	return t, nil
}

// writeToken replaces a token file in one step that survives a crash at any moment: a provider
// that rotates refresh tokens takes the old one no more.
func writeToken(name string, t Token) error {
	t.Version = tokenVersion
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(name, append(text, '\n'))
}

// replaceFile puts a file in the place of another in one step that survives a crash.
func replaceFile(name string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes a rename in the directory durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
