package mail

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// queue tells how things stand with the mails of all servers, as this one saw it last.
type queue struct{ waiting, oldest, dead prometheus.Gauge }

func newQueue() queue {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	return queue{
		waiting: gauge("doorstep_mails_waiting", "Mails that are to be sent, by any server, when this process last looked."),
		oldest:  gauge("doorstep_mails_oldest_waiting_seconds", "For how long the oldest mail had been waiting to be sent when this process last looked; 0 for none."),
		dead:    gauge("doorstep_mails_dead", "Mails that were given up and are kept for an operator to see, when this process last looked."),
	}
}

func (q queue) register(with prometheus.Registerer) error {
	return errors.Join(with.Register(q.waiting), with.Register(q.oldest), with.Register(q.dead))
}

// Count looks how things stand, for the metrics.
func (d *Deliverer) Count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	now, err := d.mails.Store.MailQueue(ctx)
	if err != nil {
		return err
	}
	d.queue.waiting.Set(float64(now.Waiting))
	d.queue.oldest.Set(now.Age(d.mails.Now()).Seconds())
	d.queue.dead.Set(float64(now.Dead))
	return nil
}
