package provider_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"

	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
)

// registered are the names of our own metrics, those without a value included.
func registered(p *providertest.P) []string {
	described := make(chan *prometheus.Desc)
	go func() { p.Registry.Describe(described); close(described) }()
	var names []string
	for d := range described {
		if name := regexp.MustCompile(`fqName: "(doorstep_\w+)"`).FindStringSubmatch(d.String()); name != nil {
			names = append(names, name[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reading is the sum of the series of a metric that have these labels ("k=v"); of a
// histogram the number of what it has seen.
func reading(t *testing.T, p *providertest.P, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := p.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName()+"="+l.GetValue())
			}
			if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(has, l) }) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// An operator finds every metric in the table, and nothing there that is none.
func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(doorstep_\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	if got := registered(providertest.Start(t)); !slices.Equal(got, documented) {
		t.Errorf("registered:\n%s\ndocumented:\n%s", strings.Join(got, "\n"), strings.Join(documented, "\n"))
	}
}

// Each metric moves when what it tells of happens.
func TestMetricsMoveWhenTheyShould(t *testing.T) {
	p := providertest.Start(t, providertest.At(time.Now()), providertest.DatabaseAt(time.Now))
	rp := p.Client("web", providertest.FirstParty)
	ctx := t.Context()
	limit := throttle.Limit{Name: "test", Every: time.Hour, Burst: 1}
	late, end := context.WithTimeout(ctx, 0)
	defer end()
	gone, leave := context.WithCancel(ctx)
	leave()
	p.Browser().SignIn("ada").Ask(rp, "openid") // who now has a password
	var tokens *providertest.Tokens
	for _, step := range []struct {
		name string
		do   func()
		want map[string]float64 // how much more the metric says, with its labels
	}{
		{"a sign-in", func() { p.Browser().SignIn("ada").Ask(rp, "openid") }, map[string]float64{
			"doorstep_sign_ins_total outcome=success":                                            1,
			"doorstep_events_total kind=signin.succeeded":                                        1,
			"doorstep_password_hashes_total":                                                     1,
			"doorstep_http_request_duration_seconds route=/signin/password method=POST code=303": 1,
		}},
		{"a wrong password", func() { guesserAt(t, p, rp, p.Browser()).try("ada@example.com", "wrong") }, map[string]float64{
			"doorstep_sign_ins_total outcome=wrong": 1, "doorstep_sign_ins_total outcome=success": 0, "doorstep_password_hashes_total": 1,
		}},
		{"tokens", func() { tokens = rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK() }, map[string]float64{
			"doorstep_tokens_issued_total grant_type=authorization_code kind=access_token":  1,
			"doorstep_tokens_issued_total grant_type=authorization_code kind=refresh_token": 1,
			"doorstep_tokens_issued_total grant_type=authorization_code kind=id_token":      1,
			"doorstep_tokens_issued_total": 3,
		}},
		{"a refusal", func() { rp.Refresh("nonsense").WantError("invalid_grant") }, map[string]float64{
			"doorstep_oauth_errors_total endpoint=token error=invalid_grant": 1, "doorstep_tokens_issued_total": 0,
		}},
		{"a revocation", func() { rp.Revoke(tokens.Refresh).WantStatus(http.StatusOK) }, map[string]float64{"doorstep_events_total kind=grant.revoked": 1}},
		{"a limit", func() {
			for range 2 {
				_ = p.Throttle.Take(ctx, limit, "somebody") // the second time it is one too many
			}
		}, map[string]float64{"doorstep_throttled_total limit=test": 1}},
		{"a sweep", func() {
			lapsed := storage.At(p.Clock.Now().Add(-time.Hour))
			if err := p.Store.Revoke(ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: "x", NotBefore: lapsed, ExpiresAt: lapsed}); err != nil {
				t.Fatal(err)
			}
			must(p.Store.Sweep(ctx, storage.At(p.Clock.Now()), 10))
		}, map[string]float64{"doorstep_sweep_rows_deleted_total table=revocations": 1, "doorstep_sweep_rows_deleted_total table=grants": 0}},
		{"a statement", func() { must(p.Store.Keys(ctx)) }, map[string]float64{
			"doorstep_database_statement_duration_seconds verb=select": 1, "doorstep_database_statement_errors_total verb=select": 0,
		}},
		{"a unit", func() {
			err := p.Store.Together(ctx, func(ctx context.Context) error {
				return p.Store.SpendID(ctx, &storage.SpentID{Hash: []byte("1"), ExpiresAt: storage.At(p.Clock.Now().Add(time.Hour))})
			})
			if err != nil {
				t.Fatal(err)
			}
		}, map[string]float64{"doorstep_database_statement_duration_seconds verb=insert": 1}},
		{"a statement that fails", func() { _, _ = p.Store.Keys(late) }, map[string]float64{"doorstep_database_statement_errors_total verb=select": 1}},
		{"a statement that nobody waits for", func() { _, _ = p.Store.Keys(gone) }, map[string]float64{"doorstep_database_statement_errors_total verb=select": 0}},
		{"a row that is there", func() {
			for range 2 {
				_ = p.Store.CreateGroup(ctx, &storage.Group{Name: "twice", CreatedAt: storage.At(p.Clock.Now()), UpdatedAt: storage.At(p.Clock.Now())})
			}
		}, map[string]float64{"doorstep_database_statement_duration_seconds verb=insert": 2, "doorstep_database_statement_errors_total verb=insert": 0}},
		{"a request that goes out", func() { _, _ = p.Outbound.Get(ctx, outbound.Request{URL: "https://127.0.0.1/"}) }, map[string]float64{
			"doorstep_outbound_request_duration_seconds outcome=failed": 1, "doorstep_outbound_request_duration_seconds outcome=success": 0,
		}},
		{"a clock that is off", func() { p.Clock.Advance(time.Hour); askOps(t, p.Ops, "/readyz") }, map[string]float64{"doorstep_clock_drift_seconds": 3600}},
	} {
		before := map[string]float64{}
		for what := range step.want {
			series := strings.Fields(what)
			before[what] = reading(t, p, series[0], series[1:]...)
		}
		step.do()
		for what, want := range step.want {
			series := strings.Fields(what)
			if more := reading(t, p, series[0], series[1:]...) - before[what]; more < want-60 && want > 60 || want <= 60 && more != want {
				t.Errorf("%s: %s grew by %v, want %v", step.name, what, more, want)
			}
		}
	}
}

// What is so all the time is told all the time.
func TestMetricsOfTheMoment(t *testing.T) {
	p := providertest.Start(t)
	p.Browser().SignIn("ada").Ask(p.Client("web", providertest.FirstParty), "openid")
	for name, within := range map[string][2]float64{
		"doorstep_build_info":                                 {1, 1},
		"doorstep_changes_heard":                              {0, 1},
		"doorstep_password_hashes_running":                    {0, 0},
		"doorstep_password_hashes_waiting":                    {0, 0},
		"doorstep_password_hashes_shed_total":                 {0, 0},
		"doorstep_backchannel_logouts_due":                    {0, 0},
		"doorstep_database_connections_max":                   {4, 8},
		"doorstep_database_connections_in_use":                {0, 8},
		"doorstep_database_connections_idle":                  {1, 8},
		"doorstep_database_connection_waits_total":            {0, 1000},
		"doorstep_database_connection_wait_seconds_total":     {0, 1000},
		"doorstep_signing_key_active_timestamp_seconds":       {1e9, 1e11},
		"doorstep_signing_key_rotation_due_timestamp_seconds": {0, 1e11},
		"doorstep_backchannel_logouts_total":                  {0, 0},
	} {
		if got := reading(t, p, name); got < within[0] || got > within[1] {
			t.Errorf("%s is %v, want %v to %v", name, got, within[0], within[1])
		}
	}
	started := reading(t, p, "doorstep_signing_key_active_timestamp_seconds", "alg=ES256")
	if now := float64(p.Clock.Now().Unix()); started > now || started < now-60 {
		t.Errorf("ES256 signs since %v, want just before %v", started, now)
	}
}

// Prometheus's own rules of naming find nothing.
func TestMetricsAreNamedByConvention(t *testing.T) {
	p := providertest.Start(t)
	p.Browser().SignIn("ada").Ask(p.Client("web", providertest.FirstParty), "openid")
	families, err := p.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "doorstep_") })
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// A dashboard or an alert that asks for a metric which nobody has stays silent.
func TestDeployAsksForMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, name := range registered(providertest.Start(t)) {
		known[name] = true
	}
	asked := map[string]bool{}
	for _, file := range []string{"../deploy/prometheus/alerts.yml", "../deploy/grafana/doorstep.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bdoorstep_\w+`).FindAllString(string(text), -1) {
			for _, series := range []string{"_bucket", "_count", "_sum"} {
				if base := strings.TrimSuffix(name, series); known[base] {
					name = base
				}
			}
			asked[name] = true
			if !known[name] {
				t.Errorf("%s asks for %s, which is no metric of ours", file, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !asked[name] {
			t.Errorf("neither dashboard nor alerts ask for %s", name)
		}
	}
}

// The files are what Prometheus and Grafana read, and every alert says what to do.
func TestDeployFilesAreWellFormed(t *testing.T) {
	text, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &alerts); err != nil || len(alerts.Groups) != 1 {
		t.Fatalf("%d groups, %v", len(alerts.Groups), err)
	}
	for _, rule := range alerts.Groups[0].Rules {
		if rule.Alert == "" || rule.Expr == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || len(rule.Annotations["runbook"]) < 40 {
			t.Errorf("the alert %q lacks something: %+v", rule.Alert, rule)
		}
	}
	if text, err = os.ReadFile("../deploy/grafana/doorstep.json"); err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil || dashboard.Title == "" {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Title == "" || panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("the panel %d %q", panel.ID, panel.Title)
		}
		ids[panel.ID] = true
	}
}
