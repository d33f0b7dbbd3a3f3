package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// Build compiles postrider into the folder and gives its path.
func Build(dir string, race bool) (string, error) {
	path := filepath.Join(dir, "postrider")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "postrider/cmd/postrider")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build postrider: %w\n%s", err, out)
	}
	return path, nil
}

// Racing says whether this program was built with the race detector, so that what it
// starts can be as well.
func Racing() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
