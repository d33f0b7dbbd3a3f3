package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 64 << 10

// secrets puts in what ${file:...} and ${env:...} stand for.
type secrets struct {
	// dir is what relative files are relative to.
	dir       string
	lookupEnv func(string) (string, bool)
}

// expand does so anywhere in a value. What is put in is not looked at again.
func (s *secrets) expand(value string) (string, error) {
	if !strings.Contains(value, "${") {
		return value, nil
	}
	var fault error
	expanded := regexp.MustCompile(`\$\{([a-z]+):([^}]*)\}`).ReplaceAllStringFunc(value, func(ref string) string {
		kind, name, _ := strings.Cut(ref[2:len(ref)-1], ":")
		text, err := s.resolve(kind, name)
		if err != nil && fault == nil {
			fault = err
		}
		return text
	})
	return expanded, fault
}

func (s *secrets) resolve(kind, name string) (string, error) {
	switch kind {
	case "env":
		text, ok := s.lookupEnv(name)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", name)
		}
		return text, nil
	case "file":
		return readSecret(within(s.dir, name))
	}
	return "", fmt.Errorf("${%s:...}: want ${file:...} or ${env:...}", kind)
}

// readSecret leaves out the line end that editors put at the end of a file.
func readSecret(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", fmt.Errorf("%s is not a file with a secret", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// within makes a relative name relative to the directory.
func within(dir, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
