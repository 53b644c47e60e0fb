package eval

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The sides of a plot, in its units.
const (
	plotWidth, plotHeight = 640, 400
	plotMargin            = 56
	leastAsked            = 0.001 // where the logarithmic axis begins
)

var plotColours = []string{"#1f6f4a", "#b3541e", "#3b5b92", "#7a4a8a", "#666666"}

// Plot draws, for one attacker, how many attempts are caught where so many sign-ins are
// asked for more, as SVG; the closer to the upper left corner the better.
func Plot(w io.Writer, r *Run, attacker string) error {
	a := r.attacker(attacker)
	x := func(asked float64) float64 {
		share := (math.Log10(max(asked, leastAsked)) - math.Log10(leastAsked)) / -math.Log10(leastAsked)
		return plotMargin + share*(plotWidth-2*plotMargin)
	}
	y := func(caught float64) float64 { return plotHeight - plotMargin - caught*(plotHeight-2*plotMargin) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`, plotWidth, plotHeight)
	fmt.Fprintf(&b, `<title>%s, attacker %s: caught against asked</title><rect width="100%%" height="100%%" fill="#fff"/>`, escaped(r.World.Name), escaped(attacker))
	for _, asked := range []float64{0.001, 0.01, 0.1, 1} {
		fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%g %%</text>`, x(asked), y(0), y(1), x(asked), plotHeight-plotMargin+18, asked*100)
	}
	for _, caught := range []float64{0, 0.25, 0.5, 0.75, 1} {
		fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g %%</text>`, x(0), y(caught), x(1), plotMargin-6, y(caught)+4, caught*100)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">sign-ins of people that are asked for more</text>`, plotWidth/2, plotHeight-12)
	fmt.Fprintf(&b, `<text x="%d" y="24">attempts of %s that are caught, in %s (synthetic)</text>`, plotMargin, escaped(attacker), escaped(r.World.Name))
	for c, contender := range r.Protocol.Contenders {
		colour := plotColours[c%len(plotColours)]
		var points []string
		for _, th := range r.thresholds(c, a) {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(r.Asked(c, th, Anybody).Share()), y(r.Caught(c, a, th).Share())))
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`, colour, strings.Join(points, " "))
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`, plotWidth-plotMargin-130, plotHeight-plotMargin-18*(len(r.Protocol.Contenders)-c), colour, escaped(contender.Name))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// thresholds are some that go from asking everybody to asking nobody.
func (r *Run) thresholds(contender, attacker int) []float64 {
	var all []float64
	for _, share := range []float64{1, 0.999, 0.99, 0.98, 0.95, 0.9, 0.83, 0.7, 0.5, 0.3, 0.1, 0} {
		th := r.Threshold(contender, attacker, share)
		if share == 0 {
			th = math.Inf(1)
		}
		all = append(all, th)
	}
	return slices.Compact(all)
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}
