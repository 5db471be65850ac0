// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
)

const (
	// releaseTimeout bounds how long a failed deployment tries to give its
	// Keep back; the agent ends an unclaimed one by itself.
	releaseTimeout = 5 * time.Second
	// connectTimeout bounds the time from create to the end of the appraisal:
	// a VM boots and a platform's quote may be queued.
	connectTimeout = 5 * time.Minute
)

// deployment is one `enarx deploy` from its checked flags to its end.
type deployment struct {
	a       *app
	f       *deployFlags
	publish []session.Publish
	steps   *progress
	work    *packed
	secrets map[string][]byte
	agent   *client.Client
	created *api.Created
	demand  client.Demand
	judged  *client.Appraisal
	key     *session.OwnerKey
	owner   *ownerFile
	started *client.Started
	claimed bool
	ran     bool // the workload has begun to run, as the Keep says
}

func (a *app) deploy(ctx context.Context, f *deployFlags, module string, args []string) (err error) {
	d := &deployment{a: a, f: f, steps: a.ui.begin()}
	platforms, err := d.check()
	if err != nil {
		return err
	}
	if err := d.pack(module, args); err != nil {
		return err
	}
	ctx, signals, running, stop := relaySignals(ctx)
	defer stop()
	defer func() {
		err = sessionError(ctx, err)
		d.release(err)
	}()
	s, err := d.connect(ctx, platforms)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := d.own(module); err != nil {
		return err
	}
	exit, err := d.send(ctx, s, signals, running)
	if err != nil {
		return err
	}
	return d.finish(exit)
}

// check reads the flags that need nothing but themselves.
func (d *deployment) check() (platforms []string, err error) {
	if d.f.host == "" {
		return nil, failf(exitUsage, "name it with --host https://HOST:7420; enarx run needs none and runs here", "the agent to deploy to is missing")
	}
	if platforms, err = d.f.checkPlatform(d.f.platform); err != nil {
		return nil, err
	}
	if d.publish, err = parsePublish(d.f.publish); err != nil {
		return nil, err
	}
	if err := d.f.checkReceipt(); err != nil {
		return nil, err
	}
	if d.demand, err = d.a.trust(&d.f.trustFlags); err != nil {
		return nil, err
	}
	if d.agent, err = client.New(d.f.host, client.Options{
		TokenFile: d.f.tokenFile, CAFile: d.f.tlsCA, ClientCert: d.f.clientCert, ClientKey: d.f.clientKey,
	}); err != nil {
		return nil, fail(exitUsage, "", err)
	}
	if d.f.owner != "" {
		if _, err := os.Lstat(d.f.owner); err == nil {
			return nil, failf(exitUsage, "name another file", "--owner: %s is already there", d.f.owner)
		}
	}
	return platforms, nil
}

// pack makes the bundle and checks what depends on it.
func (d *deployment) pack(module string, args []string) (err error) {
	if d.work, err = d.a.pack(module, &d.f.workloadFlags, args); err != nil {
		return err
	}
	c := d.work.Config
	if p := d.f.platform; c.Confidential && p != "auto" && !slices.Contains(hardware, p) {
		return failf(exitAttest, "deploy to snp, tdx or sgx; or, if the host may see inside, set confidential = false in Enarx.toml",
			"the workload is marked confidential, and on platform %s the host can see inside", p)
	}
	if err := checkPublish(d.publish, c); err != nil {
		return err
	}
	if d.secrets, err = d.a.secretValues(d.f.secrets, c.Secrets); err != nil {
		return err
	}
	d.steps.done("pack", d.work.summary())
	return nil
}

// connect has the agent make a Keep, and the Keep prove what it is. The agent
// learns the platform and a power-of-two memory class, nothing else.
func (d *deployment) connect(ctx context.Context, platforms []string) (*client.Session, error) {
	cctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := d.create(cctx, platforms); err != nil {
		return nil, err
	}
	d.steps.done("start keep", d.created.Platform+" on "+d.f.host)
	tunnel, err := d.agent.Attach(cctx, d.created.ID, d.created.Capability)
	if err != nil {
		return nil, err
	}
	s, err := client.Connect(ctx, tunnel)
	if err != nil {
		return nil, err
	}
	d.steps.done("attested channel", "TLS 1.3, X25519MLKEM768")
	// Not the time of the command: the start of a machine takes a while, and a
	// software TPM is certified in it.
	d.demand.At = time.Now()
	if d.judged, err = s.Appraise(d.demand); err != nil {
		s.Close()
		var refused *client.RefusedError
		if errors.As(err, &refused) && !d.f.json {
			d.a.showVerdict(refused.Verdict, refused.Statement)
		}
		return nil, err
	}
	d.steps.done("appraise", "")
	if !d.f.quiet && !d.f.json {
		d.a.showVerdict(d.judged.Verdict, d.judged.Statement)
	}
	d.a.warnPlatform(d.created.Platform)
	return s, nil
}

// create asks for the first of platforms that the agent has. What it answers
// decides nothing: the appraisal demands the platform that was asked for.
func (d *deployment) create(ctx context.Context, platforms []string) (err error) {
	class := memoryClass(d.work, agentMemory)
	for _, p := range platforms {
		d.demand.Platform = p
		d.created, err = d.agent.Create(ctx, api.CreateRequest{Platform: p, MemoryClass: class}, "")
		var problem *client.ProblemError
		if err == nil || !errors.As(err, &problem) || problem.Problem.Code != api.CodePlatformUnusable {
			break
		}
	}
	var problem *client.ProblemError
	if len(platforms) > 1 && errors.As(err, &problem) && problem.Problem.Code == api.CodePlatformUnusable {
		return failf(exitPlatform, "use a host with a TEE; or name a weaker platform with --platform, which says what else it needs",
			"the agent offers none of %s", strings.Join(platforms, ", "))
	}
	if err == nil {
		// The answer is a stranger's; what was asked for is what counts.
		d.created.Platform = d.demand.Platform
	}
	return err
}

// agentMemory is the memory class of a Keep unless the agent is asked for one.
const agentMemory = 512 << 20

// memoryClass is the power of two that a Keep needs for this workload; 0 leaves
// it at the usual size where that suffices.
func memoryClass(w *packed, usual uint64) uint64 {
	const (
		runtime = 128 << 20 // a small kernel, the Keep runtime, the workload's first memory
		compile = 8         // times the module: measured, 225 MB for CPython's 26
	)
	need := runtime + w.Config.Limits.MemoryBytes + compile*uint64(len(w.Bundle))
	for _, s := range w.Config.Scratch {
		need += 2 * s.Bytes // a file that grows is there twice for a moment
	}
	if need <= usual {
		return 0
	}
	class := usual
	for class < need {
		class <<= 1
	}
	return class
}

// warnPlatform says on every run who can see inside, where somebody can.
func (a *app) warnPlatform(platform string) {
	switch platform {
	case attest.PlatformProcess, attest.PlatformVM:
		a.ui.warningf("platform %s has no TEE: the host can see and change everything", platform)
	case attest.PlatformSim:
		a.ui.warningf("platform sim is simulated: the evidence proves nothing, and the host can see and change everything")
	case attest.PlatformVTPM:
		a.ui.warningf("platform vtpm proves what was booted; the host can still see inside")
	}
}

// showVerdict prints the rows and where each layer of the stack stands.
func (a *app) showVerdict(v attest.Verdict, layers []attest.Layer) {
	width := a.ui.width - len("enarx: ")
	for _, text := range []string{v.Text(width), attest.TrustText(layers, width)} {
		for line := range strings.Lines(text) {
			a.ui.notef("%s", strings.TrimRight(line, "\n"))
		}
	}
}

// own makes the deployment's owner key and stores it before it is used: a
// deployment that nobody can reach any more must not exist.
func (d *deployment) own(module string) (err error) {
	if d.key, err = session.NewOwnerKey(); err != nil {
		return failf(exitInternal, "", "making the owner key: %w", err)
	}
	if d.owner, err = newOwnerFile(d.f, d.key, d.judged); err != nil {
		return err
	}
	o := d.owner
	o.Keep, o.Capability, o.Platform = d.created.ID, d.created.Capability, d.created.Platform
	o.Bundle, o.Module = d.work.Digest.String(), module
	if o.path = d.f.owner; o.path == "" {
		if o.path, err = ownerPath(module, o.Keep); err != nil {
			return err
		}
	}
	return o.write()
}

// send claims the Keep, sends the workload and follows it.
func (d *deployment) send(ctx context.Context, s *client.Session, signals <-chan syscall.Signal, running func()) (*session.Exit, error) {
	ms := d.work.Config.Limits.TimeoutMS
	if d.f.detach {
		ms = 0 // nobody here waits for its end
	}
	limit := newTimeLimit(ctx, ms)
	defer limit.end()
	var fileErr error
	st, exit, err := s.Deploy(limit, client.Deployment{
		Bundle: d.work.Bundle, Digest: d.work.Digest, Secrets: d.secrets, Owner: d.key,
		Run:   session.Run{Detached: d.f.detach, Publish: d.publish, Names: certNames(hostName(d.f.host), d.publish)},
		Stdin: d.a.stdin, Stdout: d.a.stdout, Stderr: d.a.ui.workloadStream(), Signals: signals,
		OnStep: func(name string, t time.Duration) {
			d.claimed = true // the first step is the claim
			d.ran = d.ran || name == "start"
			limit.step(name)
			d.a.stepTaken(d.steps, name, t)
		},
		OnRunning: func(st *client.Started) {
			running()
			d.started = st
			fileErr = writeCert(d.f.cert, st)
			if fileErr == nil {
				fileErr = d.writeReceipt(st)
			}
			if fileErr != nil {
				s.Close() // ends the workload
			}
		},
		Evidence: d.f.receipt != "",
	}, d.demand)
	if fileErr != nil {
		return nil, fileErr
	}
	if st != nil {
		d.started = st
	}
	return exit, limit.explain(err)
}

func hostName(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// finish reports how it went; exit is nil for a detached workload.
func (d *deployment) finish(exit *session.Exit) error {
	line := resultLine{
		Exit: exitResult{By: "enarx", Code: exitOK}, Platform: d.created.Platform, Bundle: d.work.Digest.String(),
		Keep: d.expectedKeep(), Steps: d.steps.steps, Owner: d.owner.path, Detached: d.f.detach,
		Verdict: d.judged.Verdict, Statement: d.judged.Statement,
	}
	line.addStarted(d.started)
	if exit != nil {
		line.Exit = d.a.outcome(exit)
		d.a.exit = line.Exit.Code
		d.a.tell(line.Exit, exit.Trace)
		if d.f.owner == "" {
			// Nothing is left that the key could open.
			os.Remove(d.owner.path)
			line.Owner = ""
		}
	} else {
		for _, p := range line.Ports {
			d.a.ui.notef("listens: %s port %d is %s on the host, as the host says", p.Name, p.Guest, p.Bound)
		}
		if err := d.a.emit("%s\n", d.owner.name()); err != nil {
			return err
		}
	}
	if d.f.json {
		d.a.result = &line
	}
	return nil
}

// expectedKeep is the digest of the Keep runtime that the appraisal demanded.
func (d *deployment) expectedKeep() string {
	if d.judged.Claims == nil || keepDigest == "" || len(d.f.reference) > 0 {
		return ""
	}
	for _, o := range ownKeeps()[1:] {
		if b, err := hex.DecodeString(o.Digest); err == nil && len(b) == 32 {
			if m := sim.Measurement([32]byte(b)); bytes.Equal(m[:], d.judged.Claims.Measurement) {
				return "sha256:" + o.Digest
			}
		}
	}
	return "sha256:" + keepDigest
}

// release gives the Keep back after a failure, and says what is left of a
// deployment that had begun.
func (d *deployment) release(err error) {
	if err == nil || d.created == nil {
		return
	}
	if d.claimed && d.refusedUnrun(err) {
		os.Remove(d.owner.path)
		return
	}
	if d.claimed {
		if _, lerr := os.Lstat(d.owner.path); lerr == nil && !d.a.ui.jsonErrors {
			d.a.ui.notef("the deployment's owner file is %s; enarx logs %s shows what its Keep left", d.owner.path, d.owner.name())
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if serr := d.agent.Stop(ctx, d.created.ID, d.created.Capability); serr != nil && !d.a.ui.jsonErrors {
		d.a.ui.warningf("the empty Keep could not be given back: %v", serr)
	}
	if d.owner != nil {
		os.Remove(d.owner.path)
	}
}

// refusedUnrun says that the claimed Keep itself has refused the workload and
// ended without running it: nothing is left that the owner key could open. In
// every other case, a lost Keep above all, its state is unknown.
func (d *deployment) refusedUnrun(err error) bool {
	var said *session.Refused
	return !d.ran && errors.As(err, &said) &&
		slices.Contains([]string{session.CodeBadBundle, session.CodeConfidential, session.CodeSetup}, said.Code)
}

// keepSHA256 is the built-in digest of the Keep runtime, decoded.
func keepSHA256() (d [32]byte, ok bool) {
	b, err := hex.DecodeString(keepDigest)
	if err != nil || len(b) != len(d) {
		return d, false
	}
	return [32]byte(b), true
}
