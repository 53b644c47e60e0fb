package policy

import (
	"math"
	"time"
)

const earthRadius = 6371 // km, the mean one

// Kilometres between two points: the great circle on a sphere.
func (p Point) Kilometres(q Point) float64 {
	rad := func(hundredths int16) float64 { return float64(hundredths) / 100 * math.Pi / 180 }
	lat, lon := rad(q.Lat)-rad(p.Lat), rad(q.Lon)-rad(p.Lon)
	s, c := math.Sin(lat/2), math.Sin(lon/2)
	h := float64(s*s) + float64(float64(math.Cos(rad(p.Lat))*math.Cos(rad(q.Lat)))*float64(c*c))
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}

// Speed is kilometres an hour; those who moved within a minute took one.
func Speed(km float64, took time.Duration) float64 {
	return km / max(took, time.Minute).Hours()
}
