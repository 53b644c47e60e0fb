package doorstep_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

// A service lets only those through who may reserve cars, and knows who they are.
func ExampleVerifier_Require() {
	provider := newIssuer() // stands for https://id.example.com
	defer provider.Close()
	key := newKey("2026-03")
	provider.publish(key)

	verifier, err := doorstep.New(doorstep.Config{
		Issuer:   provider.URL,
		Audience: "https://api.example.com",
		Now:      provider.clock, // a service leaves this out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /cars", verifier.Require("cars:reserve")(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			claims, _ := doorstep.FromContext(r.Context())
			fmt.Fprintf(w, "reserved for %s", claims.Subject)
		})))

	for _, token := range []string{
		provider.token(key, map[string]any{"scope": "cars:reserve"}),
		provider.token(key, map[string]any{"scope": "cars:read"}),
	} {
		r := httptest.NewRequest(http.MethodPost, "/cars", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			fmt.Println(w.Code, w.Body)
		} else {
			fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	// Output:
	// 200 reserved for p-4711
	// 403 Bearer error="insufficient_scope", error_description="the token does not allow this", scope="cars:reserve"
}

// Without net/http, a token is verified by hand.
func ExampleVerifier_Verify() {
	provider := newIssuer() // stands for https://id.example.com
	defer provider.Close()
	key := newKey("2026-03")
	provider.publish(key)

	verifier, err := doorstep.New(doorstep.Config{
		Issuer:   provider.URL,
		Audience: "https://api.example.com",
		Now:      provider.clock, // a service leaves this out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	claims, err := verifier.Verify(context.Background(), provider.token(key, nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(claims.Subject, claims.ACR, claims.AMR, claims.HasScope("cars:reserve"))
	// Output: p-4711 aal2 [pwd otp] true
}
