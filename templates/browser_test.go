package templates_test

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// A page that has no example is one that no browser has looked at.
func TestEveryPageHasAnExample(t *testing.T) {
	files, err := filepath.Glob("pages/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	shown := map[string]bool{"layout": true}
	for _, page := range templates.EveryPage("en") {
		shown[templates.FileOf(page)] = true
	}
	for _, file := range files {
		if !shown[strings.TrimSuffix(filepath.Base(file), ".html")] {
			t.Errorf("%s has no example", file)
		}
	}
}

// TestBrowserEveryPage looks at every page in every state that it has an example of,
// served by the edge that serves them, with its policy: by day and at night, in both
// directions of writing, on a desk and on a small phone, with the longest words and
// with long names. The browser has nothing to complain about (an address elsewhere and
// what the policy refuses among it), axe finds nothing (WCAG 2.2 AA), and everything can
// be reached and seen by the keyboard.
func TestBrowserEveryPage(t *testing.T) {
	home := serveExamples(t)
	v := providertest.Chromium(t)
	const desk, phone = 1280, 320
	for _, name := range slices.Sorted(maps.Keys(templates.EveryPage("en"))) {
		open := func(query string) {
			t.Helper()
			if status := v.Open(home + "/page/" + name + query); status != http.StatusOK {
				t.Fatalf("%s: status %d", name, status)
			}
		}
		v.Light().Narrow(desk)
		open("?lang=en")
		if v.Has("#problem") && v.Eval("document.activeElement.id") != "problem" {
			t.Errorf("%s: the problem does not have the focus", name)
		}
		v.Weighs(60_000)
		v.Fits()
		v.Mirrors()
		v.Screenshot(name)
		v.AxeEveryWay()
		v.TabsThrough()

		v.Narrow(phone)
		open("?lang=sv")
		v.Fits()
		open("?lang=es&long&rtl")
		v.Fits()
		v.Dark().Axe()
		v.Screenshot(name + "-long-dark-narrow-rtl")
	}
}

// serveExamples serves each example at /page/NAME, and returns where.
func serveExamples(t *testing.T) string {
	t.Helper()
	pages, err := templates.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	home := "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	issuer, err := url.Parse(home)
	if err != nil {
		t.Fatal(err)
	}
	edge, err := web.New(web.Config{Issuer: issuer, Name: "Forecourt Motors"}, web.Deps{
		Pages: pages, Key: [32]byte{1}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/assets/", edge.Handle(edge.Assets()))
	mux.Handle("/page/", edge.Handle(web.Route{Method: http.MethodGet, Path: "/page/{name}", Dialect: web.HTML, Handler: func(rw http.ResponseWriter, r *http.Request) error {
		lang := r.URL.Query().Get("lang")
		page := dressed(templates.EveryPage(lang)[strings.TrimPrefix(r.URL.Path, "/page/")], edge.Base(r, lang, ""), r.URL.Query().Has("long"))
		mirror := rw
		if r.URL.Query().Has("rtl") {
			mirror = &mirrored{rw}
		}
		err := edge.Page(mirror, r, http.StatusOK, page)
		if policy := rw.Header().Get("Content-Security-Policy"); policy == "" || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: the policy is %q", r.URL, policy)
		}
		return err
	}}))
	mux.HandleFunc("/kept", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
	server.Config.Handler = mux
	server.Start()
	t.Cleanup(server.Close)
	return home
}

// mirrored writes a page in a language that is written from right to left, as far as
// its looks go.
type mirrored struct{ http.ResponseWriter }

func (w *mirrored) Write(page []byte) (int, error) {
	if _, err := w.ResponseWriter.Write(bytes.Replace(page, []byte("<html "), []byte(`<html dir="rtl" `), 1)); err != nil {
		return 0, err
	}
	return len(page), nil
}

// dressed is an example as the edge would show it: with the nonce of this request, and
// if need be with long names.
func dressed(example any, base templates.Base, long bool) any {
	if form, ok := example.(templates.FormPost); ok {
		form.Action, form.Nonce, form.Lang, form.Paths = "/kept", base.Nonce, base.Lang, base.Paths
		return form
	}
	page := reflect.New(reflect.TypeOf(example)).Elem()
	page.Set(reflect.ValueOf(example))
	page.FieldByName("Base").Set(reflect.ValueOf(base))
	if long {
		lengthen(page)
	}
	return page.Interface()
}

const (
	longName    = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch Bicycle & Perambulator Repairs"
	longAddress = "maximiliana.wolfeschlegelsteinhausenbergerdorff@customers.of.the.perambulator-repairs.example"
)

// named are the fields that come from people and clients, as they are at their longest.
var named = map[string]string{
	"Name": longName, "ClientName": longName, "ReturnName": longName, "Model": longName, "Title": longName, "Detail": longName, "Browser": longName,
	"Identifier": longAddress, "Email": longAddress, "ClientHost": longAddress, "Host": longAddress,
}

// lengthen makes every name in a view as long as names are.
func lengthen(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // no other holds a name
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			lengthen(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		for i := range fresh.Len() {
			lengthen(fresh.Index(i))
		}
		v.Set(fresh)
	case reflect.Struct:
		switch v.Interface().(type) {
		case templates.OtherWay, templates.LanguageLink, templates.SetupProblem, time.Time: // words of ours, and no names
			return
		}
		for i := range v.NumField() {
			field, name := v.Field(i), v.Type().Field(i).Name
			standard := v.Type() == reflect.TypeFor[templates.ScopeLine]() && name == "Name"
			switch long, ok := named[name]; {
			case ok && field.Kind() == reflect.String && field.String() != "" && !standard:
				field.SetString(long)
			default:
				lengthen(field)
			}
		}
	}
}
