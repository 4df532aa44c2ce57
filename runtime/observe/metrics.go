// Package observe is what a server tells its operator about itself: Prometheus metrics and OpenTelemetry traces. Both are
// fed once per exchange or session, after the fact, and hold names, numbers and times only.
package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are a server's numbers. Each server has its own registry, so that several may live in one process.
type Metrics struct {
	registry  *prometheus.Registry
	ended     *prometheus.CounterVec
	refused   *prometheus.CounterVec
	failed    *prometheus.CounterVec
	alerts    *prometheus.CounterVec
	phases    *prometheus.HistogramVec
	exchanges *prometheus.HistogramVec
	computing *prometheus.CounterVec
	rounds    *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	queued    prometheus.Histogram
}

// NewMetrics returns the metrics of a role that serves a plan, known by the start of its digest.
func NewMetrics(role, plan, version string) *Metrics {
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 18)
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		ended:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_sessions_total", Help: "Setups, material jobs and sessions that have ended, by result."}, []string{"purpose", "result"}),
		refused:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_refused_total", Help: "Requests refused before a session began, by reason."}, []string{"reason"}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_failures_total", Help: "Everything that failed, by what it was: setup, material, session, opening, join, key, input, generate, look, plan, deploy, withdraw, request, decision, history, catalogue, head, alert, console."}, []string{"what"}),
		alerts:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_alerts_total", Help: "Alerts, by kind (request, refusal, budget, certificate, log-head) and what became of them: sent, failed, dropped, no webhook."}, []string{"kind", "result"}),
		phases:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "smpcc_phase_seconds", Help: "Time of a phase of one session.", Buckets: seconds}, []string{"phase"}),
		exchanges: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "smpcc_exchange_seconds", Help: "Time of one exchange of messages with all peers.", Buckets: seconds}, []string{"phase"}),
		computing: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_step_seconds_total", Help: "Time spent in local steps, that is outside exchanges."}, []string{"phase"}),
		rounds:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_rounds_total", Help: "Exchanges made."}, []string{"phase"}),
		bytes:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "smpcc_bytes_sent_total", Help: "Payload bytes sent to peers."}, []string{"phase"}),
		queued:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "smpcc_queue_seconds", Help: "Time that requests waited for a session.", Buckets: seconds}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "smpcc_info", Help: "What this server is; always 1.", ConstLabels: prometheus.Labels{"role": role, "plan": plan, "version": version}})
	info.Set(1)
	m.registry.MustRegister(m.ended, m.refused, m.failed, m.alerts, m.phases, m.exchanges, m.computing, m.rounds, m.bytes, m.queued, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gauge adds a number that is asked for when metrics are read.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

// Ended counts a setup, material job or session.
func (m *Metrics) Ended(purpose string, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.ended.WithLabelValues(purpose, result).Inc()
}

// Refused counts a request that led to no session.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Failed counts a failure of any kind: of a job, or of a request. Each has a line in the log.
func (m *Metrics) Failed(what string) { m.failed.WithLabelValues(what).Inc() }

// Alert counts what became of an alert.
func (m *Metrics) Alert(kind, result string) { m.alerts.WithLabelValues(kind, result).Inc() }

// Queued counts a request's wait.
func (m *Metrics) Queued(d time.Duration) { m.queued.Observe(d.Seconds()) }

// Exchange counts one exchange.
func (m *Metrics) Exchange(phase string, d time.Duration, bytes int64) {
	m.exchanges.WithLabelValues(phase).Observe(d.Seconds())
	m.rounds.WithLabelValues(phase).Inc()
	m.bytes.WithLabelValues(phase).Add(float64(bytes))
}

// Phase counts a phase and how much of it was not spent in exchanges.
func (m *Metrics) Phase(phase string, whole, exchanging time.Duration) {
	m.phases.WithLabelValues(phase).Observe(whole.Seconds())
	m.computing.WithLabelValues(phase).Add(max(0, whole-exchanging).Seconds())
}

// PlanNumbers are the numbers of a plan at a server that has several.
type PlanNumbers struct {
	Plan, Name, State      string
	Ready                  bool
	Running, Queued, Limit int
	Done, Failed           uint64 // sessions since the server's start
	Setup                  uint64
	Material               int
}

// planNumbers collects the numbers of plans, which come and go.
type planNumbers struct{ list func() []PlanNumbers }

// planColumns are the numbers by name. A plan's digest is its label.
var planColumns = []struct {
	name, help string
	kind       prometheus.ValueType
	of         func(p PlanNumbers) float64
}{
	{"smpcc_plan_ready", "1 if the plan takes sessions, and the other roles serve it too, as far as they answer.", prometheus.GaugeValue, func(p PlanNumbers) float64 {
		if p.Ready {
			return 1
		}
		return 0
	}},
	{"smpcc_plan_sessions_running", "Sessions of the plan that run or wait for input.", prometheus.GaugeValue, func(p PlanNumbers) float64 { return float64(p.Running) }},
	{"smpcc_plan_sessions_queued", "Requests of the plan that wait for a session.", prometheus.GaugeValue, func(p PlanNumbers) float64 { return float64(p.Queued) }},
	{"smpcc_plan_sessions_limit", "Sessions of the plan that may run at once.", prometheus.GaugeValue, func(p PlanNumbers) float64 { return float64(p.Limit) }},
	{"smpcc_plan_sessions_done_total", "Sessions of the plan that have ended well.", prometheus.CounterValue, func(p PlanNumbers) float64 { return float64(p.Done) }},
	{"smpcc_plan_sessions_failed_total", "Sessions of the plan that have failed.", prometheus.CounterValue, func(p PlanNumbers) float64 { return float64(p.Failed) }},
	{"smpcc_plan_material_sessions", "Sessions of the plan whose material is stored here.", prometheus.GaugeValue, func(p PlanNumbers) float64 { return float64(p.Material) }},
	{"smpcc_plan_setup", "Number of the plan's setup; 0 for none yet.", prometheus.GaugeValue, func(p PlanNumbers) float64 { return float64(p.Setup) }},
}

// planInfo says what a plan is.
var planInfo = prometheus.NewDesc("smpcc_plan_info", "A plan at this server and its state; always 1.", []string{"plan", "name", "state"}, nil)

// Describe implements prometheus.Collector. Which plans there will be nobody knows.
func (c planNumbers) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c planNumbers) Collect(out chan<- prometheus.Metric) {
	seen := map[string]bool{}
	for _, p := range c.list() {
		if p.Plan == "" || seen[p.Plan] { // a file that is no plan has its line in the log
			continue
		}
		seen[p.Plan] = true
		out <- prometheus.MustNewConstMetric(planInfo, prometheus.GaugeValue, 1, p.Plan, strings.ToValidUTF8(p.Name, "?"), p.State)
		for _, n := range planColumns {
			out <- prometheus.MustNewConstMetric(prometheus.NewDesc(n.name, n.help, []string{"plan"}, nil), n.kind, n.of(p), p.Plan)
		}
	}
}

// Plans has the numbers of plans asked for when metrics are read.
func (m *Metrics) Plans(list func() []PlanNumbers) { m.registry.MustRegister(planNumbers{list}) }

// BudgetNumbers are the numbers of a budget of a policy or a client.
type BudgetNumbers struct {
	Of, Who, What, Policy string
	Most, Used            uint64
}

// budgetNumbers collects the numbers of budgets, which come and go with plans and months.
type budgetNumbers struct{ list func() []BudgetNumbers }

// Numbers of budgets.
var (
	budgetMost = prometheus.NewDesc("smpcc_budget_limit", "What a policy allows to all, or the configuration to a client.", []string{"of", "who", "what", "policy"}, nil)
	budgetUsed = prometheus.NewDesc("smpcc_budget_used", "How much of it is used.", []string{"of", "who", "what", "policy"}, nil)
)

// Describe implements prometheus.Collector. Which budgets there will be nobody knows.
func (c budgetNumbers) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c budgetNumbers) Collect(out chan<- prometheus.Metric) {
	for _, b := range c.list() {
		labels := []string{b.Of, strings.ToValidUTF8(b.Who, "?"), b.What, b.Policy}
		out <- prometheus.MustNewConstMetric(budgetMost, prometheus.GaugeValue, float64(b.Most), labels...)
		out <- prometheus.MustNewConstMetric(budgetUsed, prometheus.GaugeValue, float64(b.Used), labels...)
	}
}

// Budgets has the numbers of budgets asked for when metrics are read.
func (m *Metrics) Budgets(list func() []BudgetNumbers) { m.registry.MustRegister(budgetNumbers{list}) }

// Serve answers /metrics, /healthz (the process runs) and /readyz (it takes sessions; with ?plan=DIGEST, those of a plan) at addr until ctx ends. ready says what there is
// to say of a plan, "" for the server, and why it takes none. up, if not nil, gets the address.
func (m *Metrics) Serve(ctx context.Context, addr string, ready func(plan string) ([]string, error), up func(net.Addr)) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		lines, err := ready(r.URL.Query().Get("plan"))
		if err != nil {
			http.Error(w, strings.Join(append([]string{err.Error()}, lines...), "\n"), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, strings.Join(append([]string{"ok"}, lines...), "\n"))
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	if up != nil {
		up(l.Addr())
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // Serve returns what it has to say
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
