package provider

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/risk"
)

// openPlaces opens what says where addresses are, and on which lists, and tells of what is wrong
// with it.
func (p *Provider) openPlaces(cfg Config, now func() time.Time) (err error) {
	places, err := risk.OpenPlaces(cfg.Places, now)
	if err != nil {
		return err
	}
	lists, err := risk.OpenLists(cfg.Rules, now)
	if err != nil {
		return err
	}
	log := p.job("places")
	for _, age := range lists.Ages() {
		if age.Stale {
			log.Warn("a list of a zone is stale: it has nobody", slog.String("file", age.Path), slog.Time("written", age.Built))
		}
	}
	for _, age := range places.Ages() {
		if age.Stale {
			log.Warn("a file of places is old", slog.String("file", age.Path), slog.Time("built", age.Built))
		}
	}
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doorstep_places_built_timestamp_seconds", Help: "When the oldest file that says where addresses are was made, in seconds since 1970; NaN if there is none.",
	}, func() float64 { return oldest(places.Ages()) }))
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doorstep_zone_lists_stale", Help: "How many lists of zones are older than they may be, and empty by that.",
	}, func() float64 { return float64(stale(lists.Ages())) }))
	p.Risk.Places, p.Risk.Lists = places, lists
	return nil
}

// stale counts those that are older than they may be.
func stale(ages []risk.Age) (n int) {
	for _, age := range ages {
		if age.Stale {
			n++
		}
	}
	return n
}

// oldest is when the oldest was made, in seconds since 1970; NaN, of which no alert is
// true, if there is none.
func oldest(ages []risk.Age) float64 {
	built := math.NaN()
	for _, age := range ages {
		if at := float64(age.Built.Unix()); !(at >= built) {
			built = at
		}
	}
	return built
}

// renewPlaces takes up newer files of places and lists. Of one that cannot be read what was read
// last is used on.
func (p *Provider) renewPlaces(ctx context.Context) {
	p.every(ctx, time.Minute, "places", func(context.Context) error { return errors.Join(p.Risk.Places.Renew(), p.Risk.Lists.Renew()) })
}
