package configs

import (
	"fmt"
	"os"
	"strings"

	"postrider/outbound"
)

// Overrides are what the command line and the system have to say. An empty field says nothing.
type Overrides struct {
	// Listen are addresses that take the place of the file's listeners. Loopback clients
	// may relay there, and whoever is in Allow.
	Listen []string
	// Allow are networks that take the place of every listener's allow.
	Allow []string
	// RelayHost are the hosts of one route that takes the place of the file's routes.
	RelayHost []string
	// RelayUser and RelayPasswordFile are the credentials for RelayHost.
	RelayUser, RelayPasswordFile string
	// Data is the data directory.
	Data string
	// Hostname is our name.
	Hostname string

	// SystemHostname is our name where neither the file nor Hostname gives one.
	SystemHostname string
	// KeysToCome takes DKIM keys for there that are not made yet, for the commands that make them.
	KeysToCome bool
	// LookupEnv reads the environment, for ${env:...} and $STATE_DIRECTORY. Default os.LookupEnv.
	LookupEnv func(string) (string, bool)
}

// defaultData is the data directory where nobody names one.
const defaultData = "postrider-data"

func (o Overrides) withDefaults() Overrides {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	return o
}

// apply puts the overrides in the place of what the file says.
func (o *Overrides) apply(f *file, r *report) {
	o.applyListen(f, r)
	o.applyRelay(f, r)
	override := func(key string, value *string, by string) {
		if by != "" {
			*value = by
			r.forget(key)
		}
	}
	override("hostname", &f.Hostname, o.Hostname)
	override("data", (*string)(&f.Data), o.Data)
	if f.Hostname == "" {
		f.Hostname = o.SystemHostname
	}
	if f.Data == "" {
		// systemd gives several, separated by colons, where a unit has several.
		state, _ := o.LookupEnv("STATE_DIRECTORY")
		state, _, _ = strings.Cut(state, ":")
		f.Data = path(state)
	}
	if f.Data == "" {
		f.Data = defaultData
	}
}

func (o *Overrides) applyListen(f *file, r *report) {
	if len(o.Listen) > 0 {
		r.forget("listen")
		f.Listen = nil
	}
	for _, address := range o.Listen {
		f.Listen = append(f.Listen, listen{Name: address, Address: address, Allow: loopback()})
	}
	if len(o.Allow) == 0 {
		return
	}
	var allowed []network
	for _, text := range o.Allow {
		var n network
		if err := n.UnmarshalText([]byte(text)); err != nil {
			r.flag("listen", "--allow: %s", err)
			continue
		}
		allowed = append(allowed, n)
	}
	for i := range f.Listen {
		f.Listen[i].Allow = allowed
	}
}

func (o *Overrides) applyRelay(f *file, r *report) {
	if len(o.RelayHost) == 0 {
		if o.RelayUser != "" || o.RelayPasswordFile != "" {
			r.flag("routes", "--relay-user and --relay-password-file need --relay-host")
		}
		return
	}
	r.forget("routes")
	relay := route{Name: "relay", provider: provider{Hosts: o.RelayHost}}
	for i, host := range o.RelayHost {
		if _, err := outbound.ParseHost(host); err != nil {
			r.flag(fmt.Sprintf("routes[0].hosts[%d]", i), "--relay-host %s: %s", host, err)
		}
	}
	if (o.RelayUser == "") != (o.RelayPasswordFile == "") {
		r.flag("routes[0].auth", "--relay-user and --relay-password-file belong together")
	} else if o.RelayUser != "" {
		password, err := readSecret(o.RelayPasswordFile)
		if err != nil {
			r.flag("routes[0].auth.password", "--relay-password-file: %s", err)
		}
		relay.Auth = credentials{User: o.RelayUser, Password: password}
	}
	f.Routes = []route{relay}
}
