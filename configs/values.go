package configs

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"postrider/policy"
)

// size is a number of bytes, such as 50MB, 1GiB or 4096.
type size int64

// UnmarshalText reads decimal (kB, MB, GB, TB) and binary (KiB, MiB, GiB, TiB) units.
func (s *size) UnmarshalText(text []byte) error {
	parts := regexp.MustCompile(`^(\d+(?:\.\d+)?) ?([A-Za-z]*)$`).FindStringSubmatch(string(text))
	if parts == nil {
		return fmt.Errorf("%q is not a size such as 50MB or 1GiB", text)
	}
	unit, ok := map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[strings.ToLower(parts[2])]
	if !ok {
		return fmt.Errorf("%q is not a unit of size: want B, kB, MB, GB, TB, KiB, MiB, GiB or TiB", parts[2])
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	if err != nil || n*unit > math.MaxInt64/2 {
		return fmt.Errorf("%q is too large", text)
	}
	*s = size(n * unit)
	return nil
}

// duration is a time span, such as 60s, 4h, 1h30m or 5d.
type duration time.Duration

// UnmarshalText reads what time.ParseDuration does, with days in front.
func (d *duration) UnmarshalText(text []byte) error {
	parts := regexp.MustCompile(`^(?:(\d{1,5})d)?(.*)$`).FindStringSubmatch(string(text))
	fault := fmt.Errorf("%q is not a duration such as 60s, 4h or 5d", text)
	if parts == nil || string(text) == "" {
		return fault
	}
	var total time.Duration
	if parts[1] != "" {
		days, err := strconv.Atoi(parts[1])
		if err != nil {
			return fault
		}
		total = time.Duration(days) * 24 * time.Hour
	}
	if parts[2] != "" {
		rest, err := time.ParseDuration(parts[2])
		if err != nil || rest < 0 {
			return fault
		}
		total += rest
	}
	if total < 0 {
		return fmt.Errorf("%q is too long", text)
	}
	*d = duration(total)
	return nil
}

// ParseDuration reads a time span as the configuration has it, such as 90s, 4h or 5d.
func ParseDuration(text string) (time.Duration, error) {
	var d duration
	err := d.UnmarshalText([]byte(text))
	return time.Duration(d), err
}

// network is a network such as 192.0.2.0/24, or a single address.
type network struct{ netip.Prefix }

// UnmarshalText reads what the function cidr of conditions does.
func (n *network) UnmarshalText(text []byte) (err error) {
	n.Prefix, err = policy.ParseNetwork(string(text))
	return err
}

// path is a file's name; a relative one is relative to the configuration file.
type path string
