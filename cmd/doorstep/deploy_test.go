package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/spf13/pflag"
)

// deployDir has what operators start from; these tests hold it to what the binary
// knows, so that nobody copies a setting or a command that is gone.
const deployDir = "../../deploy"

func deployed(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// document decodes one file of YAML.
func document(t *testing.T, name string) any {
	t.Helper()
	values, err := yaml.Parser().Unmarshal(deployed(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return values
}

// at is what stands in nested mappings and lists.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = l[step]
		}
		if v == nil {
			t.Fatalf("nothing at %v", path[:i+1])
		}
	}
	return v
}

func words(t *testing.T, v any) (out []string) {
	t.Helper()
	list, ok := v.([]any)
	if !ok {
		t.Fatalf("%v is no list", v)
	}
	for _, word := range list {
		text, _ := textOf(word)
		out = append(out, text)
	}
	return out
}

// environment is a mapping of variables as a process gets it; files of secrets are
// replaced by ones that exist.
func environment(t *testing.T, values any) (environ []string) {
	t.Helper()
	secrets := map[string]string{
		"DOORSTEP_DATABASE__URL_FILE": "postgres://doorstep:secret@postgres/doorstep",
		"DOORSTEP_KEYS__KEK_FILE":     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
	m, ok := values.(map[string]any)
	if !ok {
		t.Fatalf("%v is no mapping", values)
	}
	for name, value := range m {
		text, _ := textOf(value)
		if preset := regexp.MustCompile(`^\$\{\w+:-(.*)\}$`).FindStringSubmatch(text); preset != nil {
			text = preset[1]
		}
		if secret := secrets[name]; secret != "" {
			text = filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(text, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		environ = append(environ, name+"="+text)
	}
	return environ
}

// configuredBy is the configuration of serve in this environment; any fault fails.
func configuredBy(t *testing.T, file string, environ []string) *config {
	t.Helper()
	c, err := readLayers(file, environ, pflag.NewFlagSet("", pflag.ContinueOnError)).parse(true)
	if err != nil {
		t.Error(err)
	}
	return c
}

// Every variable and every key that the files and their page name is a setting.
func TestDeploymentsNameSettingsThatExist(t *testing.T) {
	known := map[string]bool{envConfig: true, "DOORSTEP_IMAGE": true, "DOORSTEP_PORT": true} // the last two are compose's own and the one warned of
	for _, s := range table {
		known[envName(s.key)] = true
		if s.secret {
			known[envName(s.key+fileSuffix)] = true
		}
	}
	look := func(name string, text []byte) {
		for _, variable := range regexp.MustCompile(`DOORSTEP_[A-Z0-9_]*[A-Z0-9]`).FindAllString(string(text), -1) {
			if !known[variable] {
				t.Errorf("%s: %s is no setting", name, variable)
			}
		}
	}
	err := filepath.WalkDir(deployDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		look(path, text)
		if ext := filepath.Ext(path); err == nil && (ext == ".yaml" || ext == ".yml") {
			if _, err := yaml.Parser().Unmarshal(text); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	look("docs/deploy.md", page)
}

// Every command line in them is one of ours.
func TestDeploymentsRunCommandsThatExist(t *testing.T) {
	lines := map[string][]string{}
	for _, line := range regexp.MustCompile(`(?m)^(?:CMD|HEALTHCHECK .* CMD) (\[.*\])$`).FindAllSubmatch(deployed(t, "Dockerfile"), -1) {
		var args []string
		if err := json.Unmarshal(line[1], &args); err != nil {
			t.Fatal(err)
		}
		if args[0] == "/doorstep" {
			args = args[1:]
		}
		lines["Dockerfile "+string(line[1])] = args
	}
	for _, file := range []string{"compose/compose.yml", "compose/compose-ha.yml"} {
		lines[file] = words(t, at(t, document(t, file), "services", "migrate", "command"))
	}
	for _, file := range []string{"kubernetes/deployment.yaml", "kubernetes/migrate.yaml"} {
		lines[file] = words(t, at(t, document(t, file), "spec", "template", "spec", "containers", 0, "args"))
	}
	lines["systemd"] = strings.Fields(unitOf(t).of("Service", "ExecStart")[0])[1:]
	if len(lines) != 7 {
		t.Fatalf("%d command lines", len(lines))
	}
	root := (&app{}).root()
	for name, args := range lines {
		if cmd, rest, err := root.Find(args); err != nil || cmd == root || len(rest) > 0 || !cmd.Runnable() {
			t.Errorf("%s: %q is no command: %v", name, args, err)
		}
	}
}

// seconds reads "40s", 40 and "40".
func seconds(t *testing.T, v any) time.Duration {
	t.Helper()
	text, _ := textOf(v)
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Compose: the environment is a configuration, whoever stops a server waits for it to
// end, and HAProxy asks the servers that there are, where they say how they are, and
// has noticed that one stops before that one takes no more requests.
func TestComposeHoldsTogether(t *testing.T) {
	for _, tc := range []struct {
		file    string
		servers []string
	}{{"compose/compose.yml", []string{"doorstep"}}, {"compose/compose-ha.yml", []string{"doorstep-1", "doorstep-2", "doorstep-3"}}} {
		doc := document(t, tc.file)
		for _, name := range append(tc.servers, "migrate") {
			service := at(t, doc, "services", name)
			cfg := configuredBy(t, "", environment(t, at(t, service, "environment")))
			if at(t, service, "read_only") != true || at(t, service, "cap_drop", 0) != "ALL" {
				t.Errorf("%s %s may write or do too much", tc.file, name)
			}
			for _, secret := range words(t, at(t, service, "secrets")) {
				at(t, doc, "secrets", secret, "file")
			}
			if name == "migrate" {
				continue
			}
			if grace := seconds(t, at(t, service, "stop_grace_period")); grace <= cfg.Notice+cfg.Drain {
				t.Errorf("%s %s is killed after %s, before it is done", tc.file, name, grace)
			}
			if len(tc.servers) > 1 {
				address, _ := textOf(at(t, doc, "services", "haproxy", "networks", "default", "ipv4_address"))
				if len(cfg.TrustedProxies) != 1 || cfg.TrustedProxies[0].String() != address+"/32" {
					t.Errorf("%s %s trusts %v, and the proxy is %s", tc.file, name, cfg.TrustedProxies, address)
				}
				proxied(t, name, cfg.Notice)
			}
		}
	}
}

// proxied looks at one server in haproxy.cfg.
func proxied(t *testing.T, server string, notice time.Duration) {
	t.Helper()
	cfg := string(deployed(t, "haproxy/haproxy.cfg"))
	if !strings.Contains(cfg, "server "+server+" "+server+":8080") || !strings.Contains(string(deployed(t, "Dockerfile")), "DOORSTEP_LISTEN=:8080") {
		t.Errorf("haproxy does not know %s", server)
	}
	check := regexp.MustCompile(`default-server check port 9080 inter (\w+) .*fall (\d+)`).FindStringSubmatch(cfg)
	if check == nil || !strings.Contains(cfg, "http-check send meth GET uri /readyz") || !strings.Contains(string(deployed(t, "Dockerfile")), "DOORSTEP_OPS_LISTEN=:9080") {
		t.Fatal("haproxy does not ask where the servers say how they are")
	}
	if falls, _ := strconv.Atoi(check[2]); notice <= time.Duration(falls)*seconds(t, check[1]) {
		t.Errorf("haproxy notices after %s times %s, and the notice is %s", check[2], check[1], notice)
	}
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "Forwarded", "X-Request-ID"} {
		if !strings.Contains(cfg, "http-request del-header "+header+"\n") {
			t.Errorf("haproxy passes on a stranger's %s", header)
		}
	}
}

// Kubernetes: the ConfigMap is a configuration, the pods can do next to nothing, and
// are not killed before they are done.
func TestKubernetesHoldsTogether(t *testing.T) {
	cfg := configuredBy(t, "", environment(t, at(t, document(t, "kubernetes/configmap.yaml"), "data")))
	for _, file := range []string{"kubernetes/deployment.yaml", "kubernetes/migrate.yaml"} {
		pod := at(t, document(t, file), "spec", "template", "spec")
		for _, rule := range []struct {
			want any
			path []any
		}{
			{false, []any{"enableServiceLinks"}}, // DOORSTEP_PORT would be an unknown setting
			{false, []any{"automountServiceAccountToken"}},
			{true, []any{"securityContext", "runAsNonRoot"}},
			{"RuntimeDefault", []any{"securityContext", "seccompProfile", "type"}},
			{true, []any{"containers", 0, "securityContext", "readOnlyRootFilesystem"}},
			{false, []any{"containers", 0, "securityContext", "allowPrivilegeEscalation"}},
			{"ALL", []any{"containers", 0, "securityContext", "capabilities", "drop", 0}},
			{"doorstep", []any{"containers", 0, "envFrom", 0, "configMapRef", "name"}},
			{"/run/secrets/doorstep", []any{"containers", 0, "volumeMounts", 0, "mountPath"}},
		} {
			if got := at(t, pod, rule.path...); got != rule.want {
				t.Errorf("%s: %v is %v, want %v", file, rule.path, got, rule.want)
			}
		}
	}
	pod := at(t, document(t, "kubernetes/deployment.yaml"), "spec", "template", "spec")
	if grace := seconds(t, at(t, pod, "terminationGracePeriodSeconds")); grace <= cfg.Notice+cfg.Drain {
		t.Errorf("killed after %s, before it is done", grace)
	}
	for probe, path := range map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
		if got := at(t, pod, "containers", 0, probe, "httpGet", "path"); got != path {
			t.Errorf("%s asks %v", probe, got)
		}
	}
	fitsIntoMemory(t, cfg)
	listed := words(t, at(t, document(t, "kubernetes/kustomization.yaml"), "resources"))
	for _, name := range listed {
		if kind := at(t, document(t, filepath.Join("kubernetes", name)), "kind"); kind == "" {
			t.Errorf("%s is no object", name)
		}
	}
}

// mebibytes reads 384Mi and 320MiB.
func mebibytes(t *testing.T, v any) int {
	t.Helper()
	text, _ := textOf(v)
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(text, "B"), "Mi"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fitsIntoMemory: as many strangers as there are may try passwords, on a node with as
// many cores as there are, and no pod is killed for want of memory.
func fitsIntoMemory(t *testing.T, cfg *config) {
	t.Helper()
	const besides = 100 // MiB for all else
	soft := mebibytes(t, at(t, document(t, "kubernetes/configmap.yaml"), "data", "GOMEMLIMIT"))
	if cfg.PasswordWorkers < 1 {
		t.Error("passwords are hashed on every core of the node at once")
	}
	if hashes := 2 * cfg.PasswordWorkers * cfg.PasswordMemory / 1024; hashes+besides > soft { // those that run, and those not collected yet
		t.Errorf("hashes of passwords take %d MiB, and GOMEMLIMIT is %d", hashes, soft)
	}
	for _, file := range []string{"kubernetes/deployment.yaml", "kubernetes/migrate.yaml"} {
		hard := mebibytes(t, at(t, document(t, file), "spec", "template", "spec", "containers", 0, "resources", "limits", "memory"))
		if soft > hard*9/10 {
			t.Errorf("%s: GOMEMLIMIT is %d MiB of %d", file, soft, hard)
		}
	}
}

// A unitFile is a unit of systemd, read.
type unitFile []*unit.UnitOption

func unitOf(t *testing.T) unitFile {
	t.Helper()
	options, err := unit.DeserializeOptions(bytes.NewReader(deployed(t, "systemd/doorstep.service")))
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// of returns the values of an option.
func (u unitFile) of(section, name string) (values []string) {
	for _, o := range u {
		if o.Section == section && o.Name == name {
			values = append(values, o.Value)
		}
	}
	return append(values, make([]string, max(0, 1-len(values)))...)
}

// systemd: the unit waits for what the binary tells, hands over what it reads, and
// does not kill it before it is done; the file is a configuration.
func TestTheUnitHoldsTogether(t *testing.T) {
	u := unitOf(t)
	credentials := map[string]bool{}
	for _, c := range u.of("Service", "LoadCredential") {
		name, _, _ := strings.Cut(c, ":")
		credentials["%d/"+name] = true
	}
	files := map[string]any{}
	for _, e := range u.of("Service", "Environment") {
		name, value, _ := strings.Cut(e, "=")
		if !credentials[value] {
			t.Errorf("%s is %s, which is no credential", name, value)
		}
		files[name] = value
	}
	delete(files, envConfig)
	cfg := configuredBy(t, filepath.Join(deployDir, "systemd/doorstep.yaml"), environment(t, files))
	if stop := seconds(t, u.of("Service", "TimeoutStopSec")[0]); stop <= cfg.Notice+cfg.Drain {
		t.Errorf("killed after %s, before it is done", stop)
	}
	for name, want := range map[string]string{
		"Type": "notify", "RestartPreventExitStatus": strconv.Itoa(exitConfig), "DynamicUser": "yes", "ProtectSystem": "strict",
		"NoNewPrivileges": "yes", "MemoryDenyWriteExecute": "yes", "StateDirectory": "doorstep", "CapabilityBoundingSet": "",
	} {
		if got := u.of("Service", name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if watchdog := seconds(t, u.of("Service", "WatchdogSec")[0]); watchdog < 10*time.Second {
		t.Errorf("a watchdog of %s is no friend of a busy machine", watchdog)
	}
}
