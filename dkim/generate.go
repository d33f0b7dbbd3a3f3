package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultBits is the size of RSA keys that all verifiers take (RFC 8301 section 3.2) and whose
// records fit a DNS answer over UDP.
const DefaultBits = 2048

// Generate makes a key. Bits are those of RSA, 0 for DefaultBits.
func Generate(kind Kind, bits int) (crypto.Signer, error) {
	switch kind {
	case KindRSA:
		if bits == 0 {
			bits = DefaultBits
		}
		if bits < minBits || bits > 4096 {
			return nil, fmt.Errorf("an RSA key of %d bits: want %d to 4096", bits, minBits)
		}
		return rsa.GenerateKey(rand.Reader, bits)
	case KindEd25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("%q is not a kind of key: want rsa or ed25519", kind)
}

// WriteKey writes a key to a new PEM file that only its owner can read, and makes the
// folders that it is to be in. What is made belongs to the owner of the folder it is
// made in, who is the relay's user even where root makes it.
func WriteKey(path string, private crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	err = errors.Join(err, f.Sync(), f.Close(), inherit(f.Name()))
	if err == nil {
		// A relay that looks meanwhile sees the whole file or none, and no file is replaced.
		err = os.Link(f.Name(), path)
	}
	return errors.Join(err, os.Remove(f.Name()), syncFolder(filepath.Dir(path)))
}

// makeFolder makes a folder and those above it that are not there.
func makeFolder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return inherit(path)
}

// inherit gives what was made to the owner of the folder it is in. Who cannot do that is
// not root, and has made it for himself.
func inherit(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

// syncFolder makes what was created, renamed or removed in a folder durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
