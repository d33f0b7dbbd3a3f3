package relay

import (
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rate{
		"30/1m":               {Count: 30, Per: time.Minute},
		"30/m":                {Count: 30, Per: time.Minute},
		"1 message/2s":        {Count: 1, Per: 2 * time.Second},
		"10000 recipients/1d": {Count: 10_000, Per: 24 * time.Hour, Of: Recipients},
		"5 connections / 1s":  {Count: 5, Per: time.Second, Of: Connections},
		"100MB/1h":            {Count: 100e6, Per: time.Hour, Of: Bytes},
		"512 bytes/1ms":       {Count: 512, Per: time.Millisecond, Of: Bytes},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != want {
			t.Errorf("%q: its own text %q gives %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "30", "/1m", "0/1m", "-1/1m", "30/", "30/0s", "30/-1m", "30 mails/1m", "30/400d", "99999999999GB/1s", "30/1x"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"30/1m", "10000 recipients/1d", "100MB/1h", "1/", "9223372036854775807GB/1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRate(text)
		if err != nil {
			return
		}
		if again, err := ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, whose text gives %v, %v", text, r, again, err)
		}
	})
}
