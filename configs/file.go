package configs

import "postrider/relay"

// file is the configuration file, key for key.
type file struct {
	Hostname    string      `yaml:"hostname"`
	Data        path        `yaml:"data"`
	Listen      []listen    `yaml:"listen"`
	Users       users       `yaml:"users"`
	Limits      limits      `yaml:"limits"`
	DNS         dns         `yaml:"dns"`
	Routes      []route     `yaml:"routes"`
	Rules       []rule      `yaml:"rules"`
	Staging     *staging    `yaml:"staging"`
	DKIM        []key       `yaml:"dkim"`
	Replies     []reply     `yaml:"replies"`
	Retry       retry       `yaml:"retry"`
	Delivery    delivery    `yaml:"delivery"`
	Shaping     shaping     `yaml:"shaping"`
	TLSReport   tlsReport   `yaml:"tls_report"`
	History     history     `yaml:"history"`
	Events      events      `yaml:"events"`
	Suppression suppression `yaml:"suppression"`
	Admin       admin       `yaml:"admin"`
	Log         logging     `yaml:"log"`
}

type dns struct {
	Servers       []string `yaml:"servers"`
	Trusted       bool     `yaml:"trusted"`
	AllowLoopback bool     `yaml:"allow_loopback"`
}

type route struct {
	Name string `yaml:"name"`
	When string `yaml:"when"`
	MX   bool   `yaml:"mx"`
	// LMTP, Discard and Hold are other ends than SMTP servers.
	LMTP    bool `yaml:"lmtp"`
	Discard bool `yaml:"discard"`
	Hold    bool `yaml:"hold"`
	provider
	Providers []share  `yaml:"providers"`
	Fallback  []string `yaml:"fallback"`
	Source    []source `yaml:"source"`
	SOCKS5    string   `yaml:"socks5"`
}

type credentials struct {
	User      string `yaml:"user"`
	Password  string `yaml:"password"`
	OAuth2    *oauth `yaml:"oauth2"`
	Mechanism string `yaml:"mechanism"`
	Plain     bool   `yaml:"plain"`
}

type oauth struct {
	Provider     string   `yaml:"provider"`
	Tenant       string   `yaml:"tenant"`
	ClientID     string   `yaml:"client_id"`
	ClientSecret string   `yaml:"client_secret"`
	TokenFile    path     `yaml:"token_file"`
	KeyFile      path     `yaml:"key_file"`
	TokenURL     string   `yaml:"token_url"`
	DeviceURL    string   `yaml:"device_url"`
	AuthURL      string   `yaml:"auth_url"`
	Scopes       []string `yaml:"scopes"`
}

type retry struct {
	First     duration `yaml:"first"`
	Factor    float64  `yaml:"factor"`
	Max       duration `yaml:"max"`
	Classes   []class  `yaml:"classes"`
	MaxAge    duration `yaml:"max_age"`
	WarnAfter duration `yaml:"warn_after"`
}

type delivery struct {
	MXPort                int      `yaml:"mx_port"`
	Connections           int      `yaml:"connections"`
	ConnectionsTotal      int      `yaml:"connections_total"`
	Idle                  duration `yaml:"idle"`
	MessagesPerConnection int      `yaml:"messages_per_connection"`
	MTASTS                bool     `yaml:"mta_sts"`
}

type logging struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// defaults is what an empty file means, but for the data directory and the host name,
// which come from where the program runs.
func defaults() *file {
	r := relay.DefaultRetry()
	return &file{
		Listen: []listen{{Name: "local", Address: "127.0.0.1:2525", Allow: loopback()}},
		Users:  defaultUsers(),
		Limits: defaultLimits(),
		Routes: []route{{Name: "internet", MX: true}},
		Retry: retry{
			First: duration(r.First), Factor: r.Factor, Max: duration(r.Max), Classes: defaultClasses(),
			MaxAge: duration(r.MaxAge), WarnAfter: duration(r.WarnAfter),
		},
		Delivery: delivery{
			MXPort: 25, Connections: relay.DefaultConnections, ConnectionsTotal: relay.DefaultConnectionsTotal,
			Idle: duration(relay.DefaultIdle), MessagesPerConnection: relay.DefaultMessagesPerConnection, MTASTS: true,
		},
		Shaping:     defaultShaping(),
		History:     defaultHistory(),
		Events:      defaultEvents(),
		Suppression: defaultSuppression(),
		Log:         logging{Level: "info", Format: "auto"},
	}
}
