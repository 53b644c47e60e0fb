package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// serviceManager is told how the server does: systemd, for a unit with Type=notify and
// WatchdogSec (sd_notify(3)). Where there is none nothing is told.
type serviceManager struct {
	log   *slog.Logger
	tell  func(state string) error
	every time.Duration                   // between two signs of life; 0: nobody waits for them
	alive func(ctx context.Context) error // whether the server answers, whatever its database does
}

// newServiceManager finds the manager in the environment. The server is alive as long
// as it answers on its own listener, which a process that hangs does not; a database
// that is gone is no reason to start the server anew.
func newServiceManager(cfg *config, log *slog.Logger) *serviceManager {
	m := &serviceManager{log: log}
	m.tell = func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	m.alive = func(ctx context.Context) error {
		_, err := checkHealth(ctx, cfg)
		return err
	}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog is not served", slog.Any("error", err))
	}
	m.every = limit / 3 // two may be lost
	return m
}

// run tells of the start by the function that it hands to serve, of the end when ctx
// ends, and in between, the end included, that the server lives.
func (m *serviceManager) run(ctx context.Context, serve func(ready func()) error) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	over, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	beside.Go(func() {
		select {
		case <-ctx.Done():
		case <-over.Done():
		}
		if ctx.Err() != nil {
			m.say(daemon.SdNotifyStopping)
		}
	})
	return serve(func() {
		m.say(daemon.SdNotifyReady)
		if m.every > 0 {
			beside.Go(func() { m.watchdog(over) })
		}
	})
}

// watchdog gives a sign of life for each time that the server answers.
func (m *serviceManager) watchdog(ctx context.Context) {
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, m.every)
		err := m.alive(asking)
		cancel()
		if err == nil {
			m.say(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			m.log.Error("no sign of life for the service manager: the server does not answer", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *serviceManager) say(state string) {
	if err := m.tell(state); err != nil {
		m.log.Warn("the service manager is not told", slog.String("state", state), slog.Any("error", err))
	}
}
