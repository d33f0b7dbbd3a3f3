package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"postrider/configs"
)

// The words of findings.
const (
	findingOK   = "ok"
	findingWarn = "warn"
	findingFail = "fail"
)

// finding is what the doctor has to say about one thing.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
	Found  string `json:"found"`
	// Advice says what to do, where something is wrong.
	Advice string `json:"advice,omitempty"`
}

// doctor examines a relay and what is around it. It changes nothing, and sends no mail but what it
// is asked to.
type doctor struct {
	config  *configs.Config
	running bool
	// probe is a domain of others whose mail servers are greeted, to see whether they can be reached.
	probe string
	now   func() time.Time
	out   func(finding)
}

func (d *doctor) ok(check, format string, args ...any) {
	d.out(finding{check, findingOK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, advice, format string, args ...any) {
	d.out(finding{check, findingWarn, fmt.Sprintf(format, args...), advice})
}

func (d *doctor) fail(check, advice, format string, args ...any) {
	d.out(finding{check, findingFail, fmt.Sprintf(format, args...), advice})
}

// errIll ends an examination that has found something that must be mended.
var errIll = errors.New("something must be mended")

func newDoctorCommand() *cobra.Command {
	var flags configFlags
	var asJSON bool
	var probe, sendTo string
	var patience time.Duration
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: groupRelay,
		Short:   "Find out what is wrong with the relay, its host and its surroundings",
		Long: `Examine the relay, running or not, and what it needs: its ports; its name in DNS, both ways; DNS
servers; mail servers at port 25, where mail goes by MX; a session with each host of each
route, with TLS and a login, and no mail; certificates; the records of the domains that are
signed for; the disk, its space and how long a sync takes; the clock; and that strangers may
not relay here. With --send-to, one message is sent there through the relay, and followed to its end.

Each finding is ok, warn or fail, with what to do. The exit code is 1 if one is fail.`,
		Example: "  postrider doctor --config /etc/postrider/postrider.yaml\n  postrider doctor --send-to me@example.com --json | jq 'select(.status != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			report := reporter{out: cmd.OutOrStdout(), json: asJSON}
			d := doctor{config: c, running: isRunning(c.Admin.Socket), probe: probe, now: time.Now, out: report.take}
			d.examine(cmd.Context())
			if sendTo != "" {
				d.sendTest(cmd.Context(), sendTo, patience)
			}
			return report.end()
		},
	}
	flags.addFile(cmd)
	flags.addOverrides(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	cmd.Flags().StringVar(&probe, "probe", "gmail.com", "a `domain` whose mail servers are greeted where mail goes by MX; '' for none")
	cmd.Flags().StringVar(&sendTo, "send-to", "", "send a message to this `address` through the relay, and follow it")
	cmd.Flags().DurationVar(&patience, "wait", time.Minute, "how `long` to follow that message")
	return cmd
}

func (d *doctor) examine(ctx context.Context) {
	d.examineDaemon(ctx)
	d.examinePorts(ctx)
	d.examineName(ctx)
	d.examineClock(buildTime())
	d.examineDisk()
	d.examineDNS(ctx)
	d.examineCertificates()
	d.examineRoutes(ctx)
	d.examineDomains(ctx)
	d.examineOpenness(ctx)
}

// reporter prints findings as they come, and counts.
type reporter struct {
	out         io.Writer
	json        bool
	warns, ills int
	err         error
}

func (r *reporter) take(f finding) {
	switch f.Status {
	case findingWarn:
		r.warns++
	case findingFail:
		r.ills++
	}
	if r.json {
		r.err = errors.Join(r.err, json.NewEncoder(r.out).Encode(f))
		return
	}
	fmt.Fprintf(r.out, "%-4s  %-14s  %s\n", f.Status, f.Check, plain(f.Found))
	if f.Advice != "" {
		fmt.Fprintf(r.out, "%22s%s\n", "", f.Advice)
	}
}

func (r *reporter) end() error {
	if !r.json {
		fmt.Fprintf(r.out, "%d to mend, %s.\n", r.ills, count(r.warns, "warning"))
	}
	if r.ills > 0 {
		return errors.Join(r.err, errIll)
	}
	return r.err
}
