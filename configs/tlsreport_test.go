package configs

import "testing"

func TestTLSReport(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "",
		`{contact: "tls@example.com"}`: "/data/tls-report tls@example.com ",
		`{contact: "tls@example.com", organization: Us}`: "/data/tls-report tls@example.com Us",
		`{contact: example.com}`:                         "fault",
		`{contact: "tls@[192.0.2.1]"}`:                   "fault",
		`{contact: postmaster}`:                          "fault",
		`{organization: Us}`:                             "fault",
	} {
		c, err := load("x.yaml", []byte("hostname: relay.example.com\ndata: /data\ntls_report: "+text+"\n"), Overrides{})
		got := "fault"
		if err == nil {
			r := c.TLSReports.Reporter
			if got = ""; c.TLSReports.Dir != "" {
				got = c.TLSReports.Dir + " " + r.Contact.String() + " " + r.Organization
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q (%v)", text, got, want, err)
		}
	}
}
