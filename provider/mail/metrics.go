package mail

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// queue tells how things stand with the mails of all servers.
type queue struct {
	mails *Service
	log   *slog.Logger
}

var (
	queueWaiting = prometheus.NewDesc("doorstep_mails_waiting", "Mails that are to be sent, by any server.", nil, nil)
	queueOldest  = prometheus.NewDesc("doorstep_mails_oldest_waiting_seconds", "For how long the oldest mail has been waiting to be sent; 0 for none.", nil, nil)
	queueDead    = prometheus.NewDesc("doorstep_mails_dead", "Mails that were given up and are kept for an operator to see.", nil, nil)
)

// Describe implements prometheus.Collector.
func (q *queue) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueWaiting, queueOldest, queueDead} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (q *queue) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	now, err := q.mails.Store.MailQueue(ctx)
	if err != nil { // the other metrics are told still
		q.log.Warn("metrics", slog.String("of", "mails"), slog.Any("error", err))
		return
	}
	ch <- prometheus.MustNewConstMetric(queueWaiting, prometheus.GaugeValue, float64(now.Waiting))
	ch <- prometheus.MustNewConstMetric(queueOldest, prometheus.GaugeValue, now.Age(q.mails.Now()).Seconds())
	ch <- prometheus.MustNewConstMetric(queueDead, prometheus.GaugeValue, float64(now.Dead))
}
