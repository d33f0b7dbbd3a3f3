package configs

import inboundauth "postrider/inbound/auth"

// compose gives inbound the users.
func (u *users) compose() inboundauth.Options {
	return inboundauth.Options{File: string(u.File)}
}
