package configs

// Forget takes away how the configuration was written.
func (c *Config) Forget() { c.Shown, c.file, c.routed, c.torn = "", nil, false, false }
