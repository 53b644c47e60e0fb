package mail

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// queue tells how things stand with a channel's messages of all servers, as this one saw it last.
type queue struct{ waiting, oldest, dead prometheus.Gauge }

func newQueue(name string) queue {
	gauge := func(what, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "doorstep_" + name + "_" + what, Help: help})
	}
	return queue{
		waiting: gauge("waiting", "Messages that are to be sent, by any server, when this process last looked."),
		oldest:  gauge("oldest_waiting_seconds", "For how long the oldest message had been waiting to be sent when this process last looked; 0 for none."),
		dead:    gauge("dead", "Messages that were given up and are kept for an operator to see, when this process last looked."),
	}
}

func (q queue) register(with prometheus.Registerer) error {
	return errors.Join(with.Register(q.waiting), with.Register(q.oldest), with.Register(q.dead))
}

// Count looks how things stand, for the metrics.
func (d *Deliverer) Count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	now, err := d.out.store.MailQueue(ctx, d.out.cfg.Channel)
	if err != nil {
		return err
	}
	d.queue.waiting.Set(float64(now.Waiting))
	d.queue.oldest.Set(now.Age(d.out.now()).Seconds())
	d.queue.dead.Set(float64(now.Dead))
	return nil
}
