package throttle

import "time"

// PerDay is a limit of most in any 24 hours, of which half may come at once.
func PerDay(name string, most int) Limit {
	burst := (most + 1) / 2
	// Whoever empties the bucket at once finds most-burst more within the day: the next one is
	// beyond it.
	return Limit{Name: name, Every: 24 * time.Hour / time.Duration(most-burst+1), Burst: burst}
}
