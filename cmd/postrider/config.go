package main

import (
	"os"

	"github.com/spf13/cobra"

	"postrider/configs"
)

// configFlags are the flags by which commands find the configuration.
type configFlags struct {
	file      string
	overrides configs.Overrides
}

// addFile adds --config.
func (f *configFlags) addFile(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "config", "c", os.Getenv("POSTRIDER_CONFIG"), "the relay's configuration `file`; default $POSTRIDER_CONFIG, else none")
}

// addOverrides adds the flags that stand in for a configuration file.
func (f *configFlags) addOverrides(cmd *cobra.Command) {
	o, flags := &f.overrides, cmd.Flags()
	flags.StringArrayVar(&o.Listen, "listen", nil, "listen at this `address` instead of the configured ones (may be repeated)")
	flags.StringArrayVar(&o.Allow, "allow", nil, "let clients of this `network` relay, such as 10.0.0.0/8 (may be repeated)")
	flags.StringArrayVar(&o.RelayHost, "relay-host", nil, "send everything through this `host:port` (may be repeated, tried in order)")
	flags.StringVar(&o.RelayUser, "relay-user", "", "user `name` for --relay-host")
	flags.StringVar(&o.RelayPasswordFile, "relay-password-file", "", "`file` with the password for --relay-host")
	flags.StringVar(&o.Hostname, "hostname", "", "our own `name` in EHLO, Received and bounces")
	flags.StringVar(&o.Data, "data", "", "data `directory`; default $STATE_DIRECTORY or ./postrider-data")
}

// load reads and checks the configuration.
func (f *configFlags) load() (*configs.Config, error) {
	// A system without a name is reported by the check, where a name is needed.
	f.overrides.SystemHostname, _ = os.Hostname()
	if f.file == "" {
		return configs.Default(f.overrides)
	}
	return configs.Load(f.file, f.overrides)
}

// loadForAsking is load for a command that only needs to know where things are. A relay that runs
// is found also while its file has faults.
func (f *configFlags) loadForAsking() (*configs.Config, error) {
	if f.file == "" {
		// Asking needs no name, which running does.
		f.overrides.Hostname = "relay.invalid"
		return f.load()
	}
	c, err := f.load()
	if err == nil {
		return c, nil
	}
	if places := configs.LoadPlaces(f.file, f.overrides); places != nil && isRunning(places.Admin.Socket) {
		return places, nil
	}
	return nil, err
}

// adminSocket is the socket of a relay with this configuration.
func (f *configFlags) adminSocket() (string, error) {
	c, err := f.loadForAsking()
	if err != nil {
		return "", err
	}
	return c.Admin.Socket, nil
}
