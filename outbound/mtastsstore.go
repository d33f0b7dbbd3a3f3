package outbound

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// stsFiles is how many policies are kept on disk. Beyond it new ones are kept in memory: none that
	// stands is dropped for another, or strangers could make us forget one.
	stsFiles = 100_000
	// stsLongName is the longest domain that a file is named after; longer ones are hashed, because
	// names of files end at 255 bytes.
	stsLongName = 200
)

// stsStore keeps policies on disk, a file each.
type stsStore struct {
	dir  string
	most int

	mu sync.Mutex
	// files is how many there are, once they have been counted, which each sweep does.
	files   int
	counted bool
}

// file is where a domain's policy is kept. Names of domains have no slash; that the name begins
// with a letter or digit is all that is left to see to.
func (s *stsStore) file(domain string) string {
	if len(domain) > stsLongName {
		sum := sha256.Sum256([]byte(domain))
		domain = "-" + hex.EncodeToString(sum[:]) // no domain begins with a hyphen
	}
	return filepath.Join(s.dir, "of-"+domain+".json")
}

// read gives the policy on disk, or the zero one, which has expired.
func (s *stsStore) read(domain string) stsPolicy {
	p, err := readPolicyFile(s.file(domain))
	if err != nil || p.Domain != "" && p.Domain != domain {
		return stsPolicy{}
	}
	return p
}

func readPolicyFile(name string) (p stsPolicy, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p)
}

func (s *stsStore) write(domain string, p stsPolicy, now time.Time) error {
	if strings.ContainsRune(domain, filepath.Separator) {
		return fmt.Errorf("%w: %q is not a domain", errSTS, domain)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := s.makeRoom(domain, now); err != nil {
		return err
	}
	return replaceFile(s.file(domain), text)
}

// makeRoom sees that there is room for the file of a domain and counts it.
func (s *stsStore) makeRoom(domain string, now time.Time) error {
	s.mu.Lock()
	counted := s.counted
	s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if !counted {
		if _, err := s.sweep(now); err != nil {
			return err
		}
	}
	_, err := os.Stat(s.file(domain))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case s.files >= s.most:
		return fmt.Errorf("%w: there are %d on disk already", errSTS, s.files)
	}
	s.files++
	return nil
}

// sweep removes the files of policies that have expired, and what a crash left behind, and gives
// the policies that stand.
func (s *stsStore) sweep(now time.Time) (map[string]stsPolicy, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stand := make(map[string]stsPolicy)
	for _, e := range entries {
		domain, ok := strings.CutPrefix(e.Name(), "of-")
		domain, is := strings.CutSuffix(domain, ".json")
		name := filepath.Join(s.dir, e.Name())
		p, err := readPolicyFile(name)
		var unread *os.PathError
		switch {
		case errors.As(err, &unread):
		case ok && is && err == nil && now.Before(p.Expires):
			if p.Domain == "" { // written before files named it
				p.Domain = domain
			}
			stand[p.Domain] = p
		case ok && (is || s.abandoned(e, now)):
			os.Remove(name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files, s.counted = len(stand), true
	return stand, nil
}

// abandoned says that a file that is not a policy's has lain about for a day: one that is being
// written has not.
func (s *stsStore) abandoned(e os.DirEntry, now time.Time) bool {
	info, err := e.Info()
	return err == nil && now.Sub(info.ModTime()) > 24*time.Hour
}
