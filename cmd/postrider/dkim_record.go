package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postrider/dkim"
)

func newDKIMRecordCommand() *cobra.Command {
	var flags dkimFlags
	var asJSON, zone bool
	record := &cobra.Command{
		Use:   "record [DOMAIN]...",
		Short: "Print the DNS records of keys, ready to paste",
		Long: `Print the DNS records of keys, ready to paste: for a web form, the name and the
text; with --zone, for a zone file, the text cut into strings of 255 bytes, as DNS
wants it. Without a domain, those of all keys.`,
		Example: `  postrider dkim record shop.example --config /etc/postrider.yaml
  postrider dkim record --zone --directory keys >> shop.zone`,
		RunE: func(cmd *cobra.Command, domains []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			entries, err := flags.entries(c, domains)
			if err != nil {
				return err
			}
			for _, e := range entries {
				if err := printRecord(cmd.OutOrStdout(), e.Record, asJSON, zone); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.add(record)
	record.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	record.Flags().BoolVar(&zone, "zone", false, "print lines for a zone file")
	return record
}

// recordReport is a record in JSON.
type recordReport struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Text    string   `json:"text"`
	Strings []string `json:"strings"`
}

func printRecord(out io.Writer, r dkim.Record, asJSON, zone bool) error {
	var err error
	switch {
	case asJSON:
		err = json.NewEncoder(out).Encode(recordReport{r.Name, "TXT", r.Text, r.Strings()})
	case zone:
		_, err = fmt.Fprintln(out, r.Zone())
	default:
		_, err = fmt.Fprintf(out, "Name:  %s\nType:  TXT\nText:  %s\n", r.Name, r.Text)
		if n := len(r.Strings()); n > 1 && err == nil {
			_, err = fmt.Fprintf(out, "       (some forms want it cut, each part between quotes: \"%s\")\n", strings.Join(r.Strings(), `" "`))
		}
	}
	return err
}
