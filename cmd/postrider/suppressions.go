package main

import (
	"context"
	"time"

	"postrider/configs"
	"postrider/relay/suppression"
)

// openSuppressions reads the list of those who get no mail, and has it fed.
func (d *relayd) openSuppressions(config *configs.Config) (err error) {
	d.suppressions, err = suppression.New(context.Background(), suppression.Options{
		Terms: config.Suppression, Notes: d.spool, Now: time.Now, Fault: d.observer.Faulted,
	})
	if err == nil {
		d.observer = append(d.observer, d.suppressions.Feeder())
	}
	return err
}
