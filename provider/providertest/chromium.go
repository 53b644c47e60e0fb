package providertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium is this process's own browser; each test has a browser context of
// its own in it, with its own cookies.
var chromium = sync.OnceValues(startChromium)

// chromiumPath returns where a Chromium is.
func chromiumPath() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", missing{"no chromium or google-chrome on PATH; apt-get install chromium"}
}

// startChromium starts the browser with an empty profile. It reaches loopback
// and nothing else, and speaks to us over a pipe: it ends when we do.
func startChromium() (context.Context, error) {
	path, err := chromiumPath()
	if err != nil {
		return nil, err
	}
	root, err := scratch()
	if err != nil {
		return nil, err
	}
	profile := filepath.Join(root, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-back-forward-cache", true), // chromedp loses sight of a page that comes back as it was
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE "+apacheAddress+", EXCLUDE ::1"),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // its sandbox refuses root
	)
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...) // it lives as long as the process
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		return nil, err
	}
	pid := chromedp.FromContext(ctx).Browser.Process().Pid
	// Only if it still is ours: a browser that crashed has left its number to others.
	return ctx, atEnd(fmt.Sprintf("ps -o args= -p %d 2>/dev/null | grep -qF -- %s && kill -9 %d", pid, quote(profile), pid))
}

// within bounds every step of a browser test, beyond what a busy machine needs.
const within = 30 * time.Second

// do runs one step in a page.
func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.fail(what, err)
	}
}

// get runs one step in a page that yields a value.
func get[T any](p *Page, what string, step chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	v, err := chromedp.Run(ctx, step)
	if err != nil {
		p.fail(what, err)
	}
	return v
}

// fail ends the test with what the browser shows, as text and as a picture.
func (p *Page) fail(what string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	url, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100)); err == nil {
		_ = os.WriteFile(filepath.Join(p.t.ArtifactDir(), "failed.png"), png, 0o600) // the failure itself matters more
	}
	p.t.Fatalf("%s: %v\nat %s:\n%s\nproblems: %q", what, err, url, text, p.take())
}
