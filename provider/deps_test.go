package provider_test

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// This file is the import table: which room may know which. It only parses, so
// that it answers even while a package does not compile. A new room or a new
// arrow is a decision: make it here first, with its reason.

const modulePath = "github.com/doorstep-id/doorstep"

// A layer is a set of rooms that have the same arrows.
type layer string

const (
	layerCommand   layer = "cmd"
	layerShop      layer = "the demo's shop"
	layerRoot      layer = "provider"
	layerSurface   layer = "surface"
	layerEngine    layer = "engine"
	layerService   layer = "service"
	layerWeb       layer = "web"
	layerLeaf      layer = "leaf"
	layerPolicy    layer = "policy"
	layerStorage   layer = "storage"
	layerTemplates layer = "templates"
	layerSDK       layer = "sdk"
	layerShim      layer = "shim"
	layerHarness   layer = "test harness"
)

// rooms has every directory that holds Go, those that are planned included.
var rooms = map[string]layer{
	"cmd/doorstep":      layerCommand,
	"cmd/doorstep/shop": layerShop,
	"provider":          layerRoot,

	"provider/oidc":        layerSurface,
	"provider/oidc/engine": layerEngine,
	"provider/signin":      layerSurface,
	"provider/account":     layerSurface,
	"provider/api":         layerSurface,
	"provider/console":     layerSurface,
	"provider/scim":        layerSurface,

	"provider/keys":      layerService,
	"provider/throttle":  layerService,
	"provider/events":    layerService,
	"provider/mail":      layerService,
	"provider/sms":       layerService,
	"provider/clients":   layerService,
	"provider/grants":    layerService,
	"provider/session":   layerService,
	"provider/directory": layerService,
	"provider/proof":     layerService,
	"provider/risk":      layerService,
	"provider/flow":      layerService,

	"provider/web":          layerWeb,
	"provider/outbound":     layerLeaf,
	"provider/ident":        layerLeaf,
	"provider/fault":        layerLeaf,
	"provider/providertest": layerHarness,
	"provider/soak":         layerHarness,

	"provider/oidc/engine/oryx/errorsx": layerShim,
	"provider/oidc/engine/oryx/otelx":   layerShim,

	"policy":           layerPolicy,
	"policy/chain":     layerPolicy,
	"policy/baseline":  layerPolicy,
	"policy/behaviour": layerPolicy,
	"policy/rules":     layerPolicy,
	"policy/eval":      layerPolicy,

	"storage":   layerStorage,
	"templates": layerTemplates,
	"sdk/go":    layerSDK,
}

// serviceOrder is the order of the services; each imports leftwards only.
const serviceOrder = "keys, throttle, events, mail, sms < clients, grants < session < directory, proof < risk < flow"

// arrows says which layers a layer may import. What is not here is forbidden.
var arrows = map[layer][]layer{
	layerCommand: {layerRoot, layerSurface, layerService, layerStorage, layerPolicy, layerTemplates, layerWeb, layerLeaf, layerShop},
	layerShop:    {layerSDK},
	layerRoot:    {layerSurface, layerEngine, layerService, layerStorage, layerPolicy, layerTemplates, layerWeb, layerLeaf},
	layerSurface: {layerEngine, layerService, layerStorage, layerPolicy, layerTemplates, layerWeb, layerLeaf},
	layerEngine:  {layerService, layerStorage, layerPolicy, layerWeb, layerLeaf},
	layerService: {layerService, layerStorage, layerPolicy, layerTemplates, layerLeaf},
	layerWeb:     {layerStorage, layerTemplates, layerLeaf}, // storage for its sentinels alone: the edge maps them to a status once
	layerPolicy:  {layerPolicy},
	layerHarness: {layerRoot, layerSurface, layerEngine, layerService, layerStorage, layerPolicy, layerTemplates, layerWeb, layerLeaf, layerSDK, layerShop, layerHarness},
}

// An importRule says what may not be, and why.
type importRule struct {
	says, because string
	breaks        func(from goFile, imp string) bool
}

// importRules are asked in order; the first one broken is reported.
var importRules = append([]importRule{
	{
		says:    "tests that use providertest are package x_test, and nothing else uses it",
		because: "it imports the whole house: inside a package it would be a cycle, in the product a harness in the binary",
		breaks: func(from goFile, imp string) bool {
			return isOurs(imp) && layerOf(imp) == layerHarness && from.kind != besidePackage && from.layer != layerHarness
		},
	},
	{
		says:    "surfaces never import each other",
		because: "they meet in flow and through redirects; the paths that another room redirects to stand in web/paths.go",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && from.layer == layerSurface && layerOf(imp) == layerSurface
		},
	},
	{
		says:    "oidc alone (and the composition root) imports oidc/engine",
		because: "clients speak in one place; whoever needs a token goes there",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && layerOf(imp) == layerEngine && from.layer == layerSurface && from.room != "provider/oidc"
		},
	},
	{
		says:    "services import leftwards only: " + serviceOrder,
		because: "a change on the right never shakes what stands on the left, and there are no cycles to work around",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && from.layer == layerService && layerOf(imp) == layerService && placeOf(roomOf(imp)) >= placeOf(from.room)
		},
	},
	{
		says:    "of the services only mail and sms import templates",
		because: "pages belong to surfaces; a service answers with values",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && from.layer == layerService && from.room != "provider/mail" && from.room != "provider/sms" && layerOf(imp) == layerTemplates
		},
	},
	{
		says:    "services import neither net/http nor html/template",
		because: "every surface and every command shares them; going out is outbound's, with its own Request and Response",
		breaks: func(from goFile, imp string) bool {
			return from.kind == inProduct && from.layer == layerService && isWithin(imp, "net/http", "html", "golang.org/x/net/html", "golang.org/x/net/http2")
		},
	},
	{
		says:    "web is plumbing for surfaces",
		because: "cookies and pages end at the edge; a service that needs them is doing a surface's work",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && layerOf(imp) == layerWeb && !slices.Contains(arrows[from.layer], layerWeb)
		},
	},
	{
		says:    "storage imports nothing of ours",
		because: "entities are the one model: whatever storage knew, every room would know",
		breaks:  func(from goFile, imp string) bool { return from.inner() && from.layer == layerStorage && isOurs(imp) },
	},
	{
		says:    "templates import nothing of ours",
		because: "view structs in, bytes out: a page that can ask for more will",
		breaks:  func(from goFile, imp string) bool { return from.inner() && from.layer == layerTemplates && isOurs(imp) },
	},
	{
		says:    "outbound, ident and fault are leaves",
		because: "every room imports them, so they can import none",
		breaks:  func(from goFile, imp string) bool { return from.inner() && from.layer == layerLeaf && isOurs(imp) },
	},
	{
		says:    "cmd/doorstep/shop imports nothing of ours but sdk/go",
		because: "it shows what a stranger's service has to write, no more",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && from.layer == layerShop && isOurs(imp) && layerOf(imp) != layerSDK
		},
	},
	{
		says:    "sdk/go imports the standard library and go-jose only",
		because: "its importers get its modules too",
		breaks: func(from goFile, imp string) bool {
			return from.kind == inProduct && from.layer == layerSDK && !isStandard(imp) && !isWithin(imp, "github.com/go-jose/go-jose/v4")
		},
	},
	{
		says:    "policy/eval is never linked",
		because: "generators and figures are for the laboratory, not for the binary",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && isWithin(roomOf(imp), "policy/eval") && !isWithin(from.room, "policy/eval")
		},
	},
	{
		says:    "policy, its scorers and its rules know policy alone",
		because: "scorers add signals and rules decide; neither leans on the other, so each can be replaced",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && from.layer == layerPolicy && !isWithin(from.room, "policy/eval") && isOurs(imp) &&
				(from.room == "policy" || roomOf(imp) != "policy")
		},
	},
	{
		says:    "policy imports the standard library only (rules/ and eval/ aside)",
		because: "a decision is pure: the same facts give the same bits on every machine, years later",
		breaks: func(from goFile, imp string) bool {
			return from.kind == inProduct && from.layer == layerPolicy && !isWithin(from.room, "policy/rules", "policy/eval") &&
				!isStandard(imp) && !isOurs(imp)
		},
	},
	{
		says:    "arrows point one way: cmd -> provider -> surfaces -> services -> storage, policy",
		because: "whoever reads a room need only know the rooms below it",
		breaks: func(from goFile, imp string) bool {
			return from.inner() && isOurs(imp) && layerOf(imp) != "" && roomOf(imp) != from.room &&
				!slices.Contains(arrows[from.layer], layerOf(imp))
		},
	},
	{
		says:    "the product imports no test library",
		because: "it would be in everyone's binary",
		breaks: func(from goFile, imp string) bool {
			return from.kind == inProduct && from.layer != layerHarness && (imp == "testing" || isWithin(imp, "net/http/httptest",
				"github.com/chromedp", "github.com/rogpeppe/go-internal", "github.com/google/go-cmp", "github.com/stretchr/testify",
				"github.com/descope/virtualwebauthn", "github.com/emersion/go-smtp", "go.uber.org/goleak", "pgregory.net/rapid"))
		},
	},
}, onlyRules()...)

// onlyRules are those of the form "only these rooms import that"; they hold for tests too.
func onlyRules() []importRule {
	var out []importRule
	for _, only := range []struct {
		what    []string
		where   func(room string) bool
		says    string
		because string
	}{
		{[]string{"github.com/ory"}, roomsIn("provider/oidc/engine"), "only oidc/engine imports fosite",
			"its weak spots are closed there, each by a named wrapper; elsewhere they would be open"},
		{[]string{"gorm.io", "github.com/glebarez", "modernc.org/sqlite", "github.com/pressly/goose"}, roomsIn("storage"), "only storage imports gorm, its drivers and the migrations' runner",
			"statements stand in one room, where they can be counted and read"},
		{[]string{"database/sql", "github.com/jackc/pgx"}, roomsIn("storage", "provider/providertest", "provider/soak"), "only storage speaks SQL",
			"services use its methods and its four sentinels, so an invariant is in one statement and not in three rooms"},
		{[]string{"github.com/gorilla/mux"}, joinsRoutes, "gorilla/mux only in provider and surfaces",
			"each surface lists its routes and provider joins them: testdata/routes.golden is then the whole house"},
		{[]string{"github.com/go-webauthn", "github.com/pquerna/otp"}, roomsIn("provider/proof"), "only proof imports go-webauthn and the TOTP library",
			"spent challenges and steps are ours to keep: a second importer would forget them"},
		{[]string{"github.com/wneessen"}, roomsIn("provider/mail"), "only mail imports go-mail",
			"it goes by its own connection, whose end and whose trust are set in one place"},
		{[]string{"github.com/nyaruka/phonenumbers"}, roomsIn("provider/ident"), "only ident imports phonenumbers",
			"what is a number, and whose country's, is said in one place"},
		{[]string{"cel.dev", "github.com/google/cel-go"}, roomsIn("policy/rules"), "only policy/rules imports cel-go",
			"conditions run under one cost limit"},
		{[]string{"github.com/spf13", "github.com/knadh/koanf"}, roomsIn("cmd/doorstep"), "flags, environment and YAML live in cmd/doorstep",
			"each room has its Config struct; cmd fills it, so that all faults are reported at once"},
	} {
		out = append(out, importRule{only.says, only.because, func(from goFile, imp string) bool {
			return isWithin(imp, only.what...) && !only.where(from.room)
		}})
	}
	return out
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, src := range goFiles(t) {
		for _, imp := range src.imports {
			if isOurs(imp) && layerOf(imp) == "" {
				t.Errorf("%s imports %s: a room that the table in provider/deps_test.go does not know", src.file, imp)
				continue
			}
			if r := brokenRule(src, imp); r != nil {
				t.Errorf("%s imports %s\n\trule:   %s\n\treason: %s", src.file, imp, r.says, r.because)
			}
		}
	}
}

func TestEveryRoomIsInTheTable(t *testing.T) {
	files := goFiles(t)
	logSizes(t, files)
	for _, src := range files {
		if _, known := rooms[src.room]; !known {
			t.Errorf("%s: room %s is new. Is it named by who speaks or what it keeps? Then add it to provider/deps_test.go under its layer", src.file, src.room)
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	type state struct {
		name       string
		documented bool
	}
	packages := map[string]state{}
	for _, src := range goFiles(t) {
		if src.kind == besidePackage {
			continue
		}
		s := packages[src.room]
		s.name = src.pkg
		if src.doc != "" && (src.pkg == "main" || strings.HasPrefix(src.doc, "Package "+src.pkg+" ")) {
			s.documented = true
		}
		packages[src.room] = s
	}
	for room, s := range packages {
		if !s.documented {
			t.Errorf("%s: no file opens with a comment %q that says what the package does and what it must never do", room, "Package "+s.name+" ...")
		}
	}
}

// TestEveryRuleCanBreak shows each rule one import that it must refuse and asks
// for it by name, so that a rule that never fires is found.
func TestEveryRuleCanBreak(t *testing.T) {
	const fine = "" // nothing is broken
	fired := map[string]bool{}
	for _, tc := range []struct {
		room string
		kind kind
		imp  string
		want string // how the rule begins
	}{
		{"provider/grants", inPackage, modulePath + "/provider/providertest", "tests that use providertest"},
		{"provider/grants", besidePackage, modulePath + "/provider/providertest", fine},
		{"cmd/doorstep", inProduct, modulePath + "/provider/providertest", "tests that use providertest"},
		{"provider/signin", inProduct, modulePath + "/provider/oidc", "surfaces never"},
		{"provider/signin", besidePackage, modulePath + "/provider/oidc", fine},
		{"provider/api", inProduct, modulePath + "/provider/oidc/engine", "oidc alone"},
		{"provider/oidc", inProduct, modulePath + "/provider/oidc/engine", fine},
		{"provider/oidc/engine", inProduct, modulePath + "/provider/oidc", "arrows point"},
		{"provider/grants", inProduct, modulePath + "/provider/session", "services import leftwards"},
		{"provider/session", inProduct, modulePath + "/provider/grants", fine},
		{"provider/events", inProduct, modulePath + "/provider/mail", "services import leftwards"},
		{"provider/flow", inProduct, modulePath + "/provider/keys", fine},
		{"provider/flow", inProduct, modulePath + "/templates", "of the services"},
		{"provider/mail", inProduct, modulePath + "/templates", fine},
		{"provider/mail", inProduct, modulePath + "/provider/sms", "services import leftwards"},
		{"provider/sms", inProduct, "github.com/nyaruka/phonenumbers", "only ident"},
		{"provider/events", inProduct, "net/http", "services import neither"},
		{"provider/mail", inProduct, "html/template", "services import neither"},
		{"provider/events", inPackage, "net/http/httptest", fine},
		{"provider/flow", inProduct, modulePath + "/provider/web", "web is plumbing"},
		{"provider/signin", inProduct, modulePath + "/provider/web", fine},
		{"storage", inProduct, modulePath + "/policy", "storage imports nothing"},
		{"storage", inProduct, modulePath + "/provider/fault", "storage imports nothing"},
		{"templates", inProduct, modulePath + "/storage", "templates import nothing"},
		{"provider/ident", inProduct, modulePath + "/provider/fault", "outbound, ident and fault"},
		{"provider/keys", inProduct, modulePath + "/provider/fault", fine},
		{"cmd/doorstep/shop", inProduct, modulePath + "/storage", "cmd/doorstep/shop imports"},
		{"cmd/doorstep/shop", inProduct, modulePath + "/sdk/go", fine},
		{"sdk/go", inProduct, modulePath + "/policy", "sdk/go imports"},
		{"sdk/go", inProduct, "golang.org/x/oauth2", "sdk/go imports"},
		{"sdk/go", inProduct, "github.com/go-jose/go-jose/v4/jwt", fine},
		{"provider/risk", inProduct, modulePath + "/policy/eval", "policy/eval is never"},
		{"policy/chain", inProduct, modulePath + "/policy/rules", "policy, its scorers"},
		{"policy", inProduct, modulePath + "/policy/chain", "policy, its scorers"},
		{"policy/eval", inProduct, modulePath + "/policy/chain", fine},
		{"policy/chain", inProduct, "golang.org/x/text/unicode/norm", "policy imports the standard library"},
		{"policy/rules", inProduct, "cel.dev/cel-go/cel", fine},
		{"provider/keys", inProduct, modulePath + "/provider", "arrows point"},
		{"provider/oidc", inProduct, modulePath + "/provider", "arrows point"},
		{"provider", inProduct, modulePath + "/provider/oidc", fine},
		{"provider", inPackage, modulePath + "/cmd/doorstep/shop", "arrows point"},
		{"provider/oidc", besidePackage, "github.com/ory/fosite", "only oidc/engine"},
		{"provider/oidc/engine", inProduct, "github.com/ory/fosite/handler/oauth2", fine},
		{"provider/oidc/engine/oryx/otelx", inProduct, "go.opentelemetry.io/otel/trace", fine},
		{"provider/grants", inProduct, "gorm.io/gorm", "only storage imports gorm"},
		{"storage", inProduct, "gorm.io/gorm/clause", fine},
		{"provider/keys", inProduct, "database/sql", "only storage speaks"},
		{"provider/web", inProduct, "github.com/gorilla/mux", "gorilla/mux only"},
		{"provider/console", inProduct, "github.com/gorilla/mux", fine},
		{"provider/account", inProduct, "github.com/go-webauthn/webauthn/protocol", "only proof"},
		{"provider/risk", inProduct, "cel.dev/cel-go/cel", "only policy/rules"},
		{"provider/flow", inProduct, "github.com/wneessen/go-mail", "only mail imports go-mail"},
		{"provider", inProduct, "github.com/knadh/koanf/v2", "flags, environment"},
		{"provider/keys", inProduct, "testing", "the product imports no test library"},
		{"provider/keys", inPackage, "testing", fine},
		{"provider/providertest", inProduct, "github.com/chromedp/chromedp", fine},
	} {
		src := goFile{room: tc.room, layer: rooms[tc.room], kind: tc.kind}
		got := fine
		if r := brokenRule(src, tc.imp); r != nil {
			got = r.says
			fired[r.says] = true
		}
		if !strings.HasPrefix(got, tc.want) || (tc.want == fine) != (got == fine) {
			t.Errorf("%s imports %s: broke %q, want %q", tc.room, tc.imp, got, tc.want)
		}
	}
	for _, r := range importRules {
		if !fired[r.says] {
			t.Errorf("no case shows that this rule can break: %s", r.says)
		}
	}
}

func brokenRule(from goFile, imp string) *importRule {
	for i := range importRules {
		if importRules[i].breaks(from, imp) {
			return &importRules[i]
		}
	}
	return nil
}

func isOurs(imp string) bool { return isWithin(imp, modulePath) }

// roomOf is the directory of an import of ours, else "".
func roomOf(imp string) string {
	room, ok := strings.CutPrefix(imp, modulePath+"/")
	if !ok {
		return ""
	}
	return room
}

func layerOf(imp string) layer { return rooms[roomOf(imp)] }

// isStandard says that imp is of the standard library, whose paths have no host.
func isStandard(imp string) bool {
	host, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(host, ".")
}

// isWithin says that p is one of trees or below it.
func isWithin(p string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return p == tree || strings.HasPrefix(p, tree+"/") })
}

func roomsIn(trees ...string) func(string) bool {
	return func(room string) bool { return isWithin(room, trees...) }
}

func joinsRoutes(room string) bool { return rooms[room] == layerRoot || rooms[room] == layerSurface }

// placeOf is the position of a service in serviceOrder; -1 if it is not named there.
func placeOf(room string) int {
	order := strings.FieldsFunc(serviceOrder, func(r rune) bool { return strings.ContainsRune(" ,<", r) })
	return slices.Index(order, path.Base(room))
}
