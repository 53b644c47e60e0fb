package provider

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/risk"
)

// openPlaces opens what says where addresses are, and tells of what is wrong with it.
func (p *Provider) openPlaces(cfg risk.PlacesConfig, now func() time.Time) (*risk.Places, error) {
	places, err := risk.OpenPlaces(cfg, now)
	if err != nil {
		return nil, err
	}
	log := p.job("places")
	for _, age := range places.Ages() {
		if age.Stale {
			log.Warn("a file of places is old", slog.String("file", age.Path), slog.Time("built", age.Built))
		}
	}
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doorstep_places_built_timestamp_seconds", Help: "When the oldest file that says where addresses are was made, in seconds since 1970; NaN if there is none.",
	}, func() float64 { return oldest(places.Ages()) }))
	return places, nil
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

// renewPlaces takes up newer files of places. Of one that cannot be read what was read last is
// used on.
func (p *Provider) renewPlaces(ctx context.Context) {
	p.every(ctx, time.Minute, "places", func(context.Context) error { return p.Risk.Places.Renew() })
}
