package web

import (
	"errors"
	"log/slog"
)

// A Diagnosis is for whoever runs the client: what arrived, what is registered,
// and the command that mends it. No field may hold a secret. It is always logged
// under the request's id, and shown on the page only to a developer (Config.Developer).
type Diagnosis struct {
	Problem             string
	Arrived, Registered []string
	Command             string
}

// LogValue implements slog.LogValuer.
func (d Diagnosis) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("problem", shorten(d.Problem)),
		slog.Any("arrived", shortenAll(d.Arrived)),
		slog.Any("registered", shortenAll(d.Registered)),
		slog.String("command", shorten(d.Command)),
	)
}

func shortenAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = shorten(s)
	}
	return out
}

type diagnosed struct {
	error
	diagnosis Diagnosis
}

func (d *diagnosed) Unwrap() error { return d.error }

// WithDiagnosis attaches d to err, which stays what it was for errors.Is and errors.As.
func WithDiagnosis(err error, d Diagnosis) error { return &diagnosed{err, d} }

func diagnosisOf(err error) *Diagnosis {
	var d *diagnosed
	if errors.As(err, &d) {
		return &d.diagnosis
	}
	return nil
}
