package configs

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

// Expectation is what a configuration should make of a message: postrider check --tests.
type Expectation struct {
	// Name says what is expected, for people.
	Name string `yaml:"name"`
	// Client, User, Listener, Helo and TLS are the session's; From and To the envelope's.
	Client   string   `yaml:"client"`
	User     string   `yaml:"user"`
	Listener string   `yaml:"listener"`
	Helo     string   `yaml:"helo"`
	TLS      string   `yaml:"tls"`
	From     string   `yaml:"from"`
	To       []string `yaml:"to"`
	// Message is the text of the message; "" for a short one.
	Message string `yaml:"message"`
	Expect  Expect `yaml:"expect"`
}

// Expect are the things that must be so; what is empty is not looked at.
type Expect struct {
	// Reply is the beginning of the last reply, such as "250" or "550 5.7.1".
	Reply string `yaml:"reply"`
	// Rules are rules that must have matched.
	Rules []string `yaml:"rules"`
	// Destinations are where mail must go, all of them.
	Destinations []string `yaml:"destinations"`
	// Recipients are who must get it, all of them.
	Recipients []string `yaml:"recipients"`
	// Sender is the reverse-path that it must have.
	Sender string `yaml:"sender"`
	// Held is the reason why it must be held, Discarded who must not get it.
	Held      string   `yaml:"held"`
	Discarded []string `yaml:"discarded"`
	// Tags and Header are tags and header fields that it must have.
	Tags   []string `yaml:"tags"`
	Header []string `yaml:"header"`
	// Signed are the DKIM keys that must have signed it, as SELECTOR._domainkey.DOMAIN.
	Signed []string `yaml:"signed"`
}

// LoadExpectations reads a file of expectations: a list under "tests".
func LoadExpectations(name string) ([]Expectation, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the tests: %w", err)
	}
	var file struct {
		Tests []Expectation `yaml:"tests"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, true))
	}
	if len(file.Tests) == 0 {
		return nil, fmt.Errorf("%s: there are no tests", name)
	}
	return file.Tests, nil
}
