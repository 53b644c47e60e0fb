package soak

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// Sample is what a server and its database take up at one moment.
type Sample struct {
	At         time.Time
	Memory     float64 // resident, bytes
	Goroutines float64
	Files      float64
	Rows       map[string]int64 // by table
}

// String implements fmt.Stringer.
func (s Sample) String() string {
	return fmt.Sprintf("%s memory %.1f MiB, %.0f goroutines, %.0f files, rows %v", s.At.Format("15:04:05"), s.Memory/(1<<20), s.Goroutines, s.Files, s.Rows)
}

// Sample reads a server's metrics and counts the database's rows.
func (s *Servers) Sample(i int, database string) Sample {
	s.t.Helper()
	out := Sample{At: time.Now(), Rows: providertest.CountRows(s.t, database)}
	res, err := prober.Get("http://" + s.all[i].ops + "/metrics")
	if err != nil {
		s.t.Error(err)
		return out
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.t.Errorf("metrics: %d", res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch name {
		case "process_resident_memory_bytes":
			out.Memory = value
		case "go_goroutines":
			out.Goroutines = value
		case "process_open_fds":
			out.Files = value
		}
	}
	return out
}

// kept are the tables that grow with what was done, on purpose: what is to be
// remembered is an operator's setting.
var kept = map[string]bool{"events": true, "decisions": true}

// Grown compares the middle third of the samples with the last one, by their
// means, and returns what grew: memory by more than one hundredth, the rest by more
// than a tenth and a little.
func Grown(samples []Sample) []string {
	third := len(samples) / 3
	if third == 0 {
		return []string{"too few samples"}
	}
	middle, last := samples[third:2*third], samples[2*third:]
	var grown []string
	compare := func(what string, of func(Sample) float64, factor, little float64) {
		was, is := mean(middle, of), mean(last, of)
		if is > was*factor+little {
			grown = append(grown, fmt.Sprintf("%s grew from %.1f to %.1f", what, was, is))
		}
	}
	compare("memory", func(s Sample) float64 { return s.Memory }, 1.01, 1<<20)
	compare("goroutines", func(s Sample) float64 { return s.Goroutines }, 1.1, 5)
	compare("files", func(s Sample) float64 { return s.Files }, 1.1, 5)
	for table := range samples[0].Rows {
		if !kept[table] {
			compare("table "+table, func(s Sample) float64 { return float64(s.Rows[table]) }, 1.1, 20)
		}
	}
	return grown
}

func mean(samples []Sample, of func(Sample) float64) float64 {
	sum := 0.0
	for _, s := range samples {
		sum += of(s)
	}
	return sum / float64(len(samples))
}
