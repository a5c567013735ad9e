// A receiver of armorhooks' webhooks with net/http.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Payload is what armorhooks sends with the format "json"; Event is "test" for the API's test request.
type Payload struct {
	Event     string   `json:"event"`
	Tier      string   `json:"tier"`
	Action    string   `json:"action"`
	RiskScore float64  `json:"risk_score"`
	Signals   []Signal `json:"signals"`
	LatencyMs float64  `json:"latency_ms"`
	Timestamp string   `json:"timestamp"`
}

// Signal is one thing that the scan found.
type Signal struct {
	Domain     string  `json:"domain"`
	Type       string  `json:"type"`
	Confidence float64 `json:"confidence"`
	Weight     float64 `json:"weight"`
}

const (
	maxBody    = 64 << 10
	remembered = 100_000
)

// memory knows the ids that came in. A receiver with a database has a table whose key is the id instead, and inserts
// into it before it answers.
type memory struct {
	mutex sync.Mutex
	seen  map[string]struct{}
	order []string
}

// first says whether an id is new, and remembers it.
func (m *memory) first(id string) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if _, known := m.seen[id]; known {
		return false
	}
	m.seen[id] = struct{}{}
	m.order = append(m.order, id)
	if len(m.order) > remembered {
		delete(m.seen, m.order[0])
		m.order = m.order[1:]
	}
	return true
}

func main() {
	// As the API returned it when the webhook was made.
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	ids := &memory{seen: map[string]struct{}{}}
	inbox := make(chan Payload, 1000)
	go func() {
		for payload := range inbox {
			text, _ := json.Marshal(payload)
			fmt.Println("handled", string(text))
		}
	}()

	http.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		// The raw body, as it is what was signed: parsed and written again it would be another one.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if err := webhook.Verify(body, r.Header); err != nil {
			http.Error(w, "the signature is not valid", http.StatusUnauthorized)
			return
		}
		var payload Payload
		if err := json.Unmarshal(body, &payload); err != nil {
			http.Error(w, "the body is not as expected", http.StatusBadRequest)
			return
		}
		if ids.first(r.Header.Get("webhook-id")) {
			// Worked on after the answer: the daemon waits for that, and takes more than 10 s for a failure.
			inbox <- payload
		}
		w.WriteHeader(http.StatusNoContent)
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "9000"
	}
	fmt.Println("ready")
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
