package dkim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// State is what a key is for. It is kept for the keys of a Directory; others are Active.
type State string

// The states, in the order of a key's life.
const (
	// Pending waits for its record to be seen in DNS.
	Pending State = "pending"
	// Active signs.
	Active State = "active"
	// Retired signs no more; its record stays while mail that it has signed is on its way.
	Retired State = "retired"
)

// statesFile is where a domain's folder keeps the states of its keys.
const statesFile = "states.json"

// Stage is a State and its time.
type Stage struct {
	State State `json:"state"`
	// Since is when the key came into the state.
	Since time.Time `json:"since"`
}

// readStates gives the states of a domain's keys by selector. A key of which nothing is
// said is Active.
func readStates(folder string) (map[string]Stage, error) {
	text, err := os.ReadFile(filepath.Join(folder, statesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var states map[string]Stage
	if err := json.Unmarshal(text, &states); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(folder, statesFile), err)
	}
	for selector, stage := range states {
		if stage.State != Pending && stage.State != Active && stage.State != Retired {
			return nil, fmt.Errorf("%s: %s is %q, which is none of pending, active and retired", filepath.Join(folder, statesFile), selector, stage.State)
		}
	}
	return states, nil
}

// stored is a key file in a Directory.
type stored struct {
	domain, selector, path string
	Stage
}

// listDirectory finds the key files. A directory that is not there has none yet.
func listDirectory(directory string) ([]stored, error) {
	folders, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []stored
	for _, folder := range folders {
		if strings.HasPrefix(folder.Name(), ".") {
			continue
		}
		path := filepath.Join(directory, folder.Name())
		info, err := os.Stat(path) // a folder may be a link
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			continue
		}
		if !IsName(folder.Name()) {
			return nil, fmt.Errorf("%s: not named after a domain, in lower case and ASCII", path)
		}
		files, err := listFolder(path, folder.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}

// listFolder finds the key files of one domain.
func listFolder(folder, domain string) ([]stored, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	states, err := readStates(folder)
	if err != nil {
		return nil, err
	}
	var all []stored
	for _, file := range files {
		selector, isKey := strings.CutSuffix(file.Name(), ".pem")
		if !isKey || strings.HasPrefix(selector, ".") {
			continue
		}
		path := filepath.Join(folder, file.Name())
		if !IsName(selector) {
			return nil, fmt.Errorf("%s: not named after a selector, in lower case", path)
		}
		stage, ok := states[selector]
		if !ok {
			stage.State = Active
		}
		all = append(all, stored{domain: domain, selector: selector, path: path, Stage: stage})
	}
	return all, nil
}

// loadDirectory reads all keys of a Directory.
func (k *Key) loadDirectory(made key) ([]key, []fault) {
	if k.Domain != "" || k.Selector != "" || k.Path != "" {
		return nil, []fault{{"directory", errors.New("stands in place of domain, selector and key: the files are named DOMAIN/SELECTOR.pem")}}
	}
	files, err := listDirectory(k.Directory)
	if err != nil {
		return nil, []fault{{"directory", err}}
	}
	var keys []key
	var faults []fault
	for _, file := range files {
		loaded := made
		loaded.domain, loaded.selector, loaded.path = file.domain, file.selector, file.path
		loaded.state, loaded.since = file.State, file.Since
		if err := identityFault(k.Identity, file.domain); err != nil {
			faults = append(faults, fault{"identity", err})
			continue
		}
		if loaded.private, err = ReadKey(file.path); err != nil {
			faults = append(faults, fault{"directory", err})
			continue
		}
		keys = append(keys, loaded)
	}
	return keys, faults
}
