package auth

// Inherit takes over from a former Authority what it knows of attempts that failed, where they are
// held to the same limits now. It is called before the first attempt. A nil former knows nothing.
func (a *Authority) Inherit(former *Authority) {
	if former != nil && a.o.Failures == former.o.Failures && a.o.Delay == former.o.Delay {
		a.failures = former.failures
	}
}
