// Command bench measures Postrider, Postfix and Exim side by side in one run: the same load
// tool, the same sink, the same file system, rounds interleaved, medians shown. It runs as
// root on Linux, since Postfix, a file system of its own and counting the CPU time of a
// tree of processes want that:
//
//	go run ./integration/bench
//	go run ./integration/bench -servers postfix,postrider -cases 'relay 4 KiB' -scale 0.3
//
// Figures of different machines, or of different runs, say nothing about each other;
// the ratios in one run do. Less than 1.3 is a tie.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"postrider/integration"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	rounds int
	scale  float64
	// servers are those to measure, in the order in which they take turns.
	servers []string
	cases   string
	binary  string
	disk    int64
	json    bool
}

func parseOptions(args []string) (o options, err error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&o.rounds, "rounds", 3, "how often each case is measured")
	fs.Float64Var(&o.scale, "scale", 1, "number of messages, as a factor")
	servers := fs.String("servers", strings.Join(installed(), ","), "the servers to measure; Exim only where it is named or installed")
	fs.StringVar(&o.cases, "cases", ".", "measure the cases whose name matches this expression")
	fs.StringVar(&o.binary, "binary", "", "postrider program to measure (default: it is built)")
	fs.Int64Var(&o.disk, "disk", 6<<10, "size of the file system in MB")
	fs.BoolVar(&o.json, "json", false, "print each measurement as a JSON object")
	err = fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	o.servers = strings.Split(*servers, ",")
	for _, name := range o.servers {
		if err == nil && !slices.Contains(serverNames(), name) {
			err = fmt.Errorf("-servers: %q is none of %s", name, strings.Join(serverNames(), ", "))
		}
	}
	return o, err
}

// installed are the servers that can be measured here.
func installed() []string {
	return slices.DeleteFunc(serverNames(), func(name string) bool {
		return name == exim && integration.Lacking("exim4") != ""
	})
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(o.cases)
	if err != nil {
		return fmt.Errorf("-cases: %w", err)
	}
	if name := integration.Lacking("postfix", "smtp-source", "smtp-sink", "strace", "mkfs.ext4"); name != "" {
		return fmt.Errorf("%s is not installed (Debian: apt-get install postfix strace e2fsprogs)", name)
	}
	b := &bench{o: o, binary: o.binary}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(); err != nil {
		return err
	}
	results, err := b.rounds(ctx, wanted)
	if err == nil {
		fmt.Print(results)
	}
	return err
}

// rounds measures each wanted case on each server, round by round.
func (b *bench) rounds(ctx context.Context, wanted *regexp.Regexp) (*table, error) {
	results := newTable(b.o.servers)
	for round := range b.o.rounds {
		for _, c := range cases() {
			if !wanted.MatchString(c.name) {
				continue
			}
			for _, name := range b.o.servers {
				if slices.Contains(c.without, name) {
					continue
				}
				measured, err := b.measure(ctx, c, name)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", c.name, name, err)
				}
				results.add(c.name, name, measured)
				b.show(round, c.name, name, measured)
			}
		}
	}
	return results, nil
}

// bench is a run: what all measurements share.
type bench struct {
	o      options
	dir    string
	disk   *integration.Disk
	binary string
	serial int
	// group holds the server of the current measurement.
	group *cgroup
}

// open makes what is still missing; close takes away what was made, however far it came.
func (b *bench) open() (err error) {
	if b.dir, err = os.MkdirTemp("", "prbench"); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // Postfix's daemons are other users
		return err
	}
	if b.binary == "" {
		if b.binary, err = integration.Build(b.dir, false); err != nil {
			return err
		}
	}
	b.disk, err = integration.NewDisk(b.dir, b.o.disk<<20)
	return err
}

// close leaves nothing behind: no process, no mount, no file.
func (b *bench) close() error {
	var errs []error
	if b.disk != nil {
		errs = append(errs, b.disk.Close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// show says how far the run is, and what it found, one line a measurement.
func (b *bench) show(round int, name, server string, m measurement) {
	if b.o.json {
		line, _ := json.Marshal(map[string]any{"round": round + 1, "case": name, "server": server, "figures": m})
		fmt.Println(string(line))
		return
	}
	var figures []string
	for _, f := range figureOrder() {
		if v, ok := m[f.name]; ok {
			figures = append(figures, fmt.Sprintf("%s %.4g", f.name, v))
		}
	}
	fmt.Fprintf(os.Stderr, "%s round %d of %d, %s, %s: %s\n",
		time.Now().Format(time.TimeOnly), round+1, b.o.rounds, name, server, strings.Join(figures, ", "))
}
