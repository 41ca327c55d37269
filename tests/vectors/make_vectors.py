#!/usr/bin/python3
"""Reference vectors for the losses, confidences, metrics and bounds used by the project.

Usage: make_vectors.py SEED OUTDIR (the files here: seed 20)
Everything is computed in float64 with PyTorch autograd, SciPy or scikit-learn, never with the project's own code.
File format, one item a line:  `case NAME` opens a case, `end` closes it,
`NAME D0xD1 = v v v` is a tensor, `NAME = v` a number or a word.
"""
import math, os, sys
import numpy as np, torch
from scipy.stats import beta
from sklearn.metrics import roc_auc_score, log_loss
torch.set_default_dtype(torch.float64)
F = torch.nn.functional
seed, out = int(sys.argv[1]), sys.argv[2]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(seed)

class File:
    def __init__(self, name, head):
        self.f = open(os.path.join(out, name), "w")
        for l in head.strip().splitlines(): self.f.write("# " + l.strip() + "\n")
    def case(self, name, **kw):
        self.f.write(f"case {name}\n")
        for k, v in kw.items():
            if isinstance(v, torch.Tensor): v = v.detach().numpy()
            if isinstance(v, (list, tuple)): v = np.array(v)
            if isinstance(v, np.ndarray) and v.ndim:
                fmt = (lambda x: str(int(x))) if v.dtype.kind in "iub" else (lambda x: repr(float(x)))
                self.f.write(f"{k} {'x'.join(map(str, v.shape))} = {' '.join(fmt(x) for x in v.ravel())}\n")
            else:
                v = v.item() if isinstance(v, np.ndarray) else v
                self.f.write(f"{k} = {v if isinstance(v, (str, int)) else repr(float(v))}\n")
        self.f.write("end\n")

def f32(a): return np.asarray(a, np.float32).astype(np.float64)  # inputs are exact in float32
def logits(n, c, scale): return torch.tensor(f32(rng.normal(0, scale, (n, c))), requires_grad=True)
def labels(n, c): return torch.tensor(rng.integers(0, c, n))

# --- 1. [sat] target=blend -------------------------------------------------------------------
o = File("sat_blend.txt", "Blended-target loss: y' = (1-alpha) onehot + alpha softmax(z) held constant; loss = batch mean.\n"
         "per_sample = loss of each sample; grad = dL/dz times n (per-sample gradient, NOT divided by the batch).")
for i, (n, c, s, a) in enumerate([(4,10,1,0),(4,10,1,.3),(8,2,3,.45),(1,1000,2,.9),(3,5,1,1.0),(16,10,30,.7),(2,3,200,.5),(5,7,.01,.9)]):
    z, y = logits(n, c, s), labels(n, c)
    p = F.softmax(z.detach(), 1); t = (1-a)*F.one_hot(y, c) + a*p
    per = -(t*F.log_softmax(z, 1)).sum(1); per.sum().backward()
    o.case(f"blend_{i}", alpha=float(a), logits=z, labels=y, prob=p, per_sample=per, loss=per.mean(), grad=z.grad)

# --- 2. alpha schedule -----------------------------------------------------------------------
o = File("sat_alpha.txt", "alpha(epoch): alpha_start before warmup_epochs, then linear towards alpha_end at total_epochs, never above alpha_end.")
def get_alpha(s, e, w, ep, tot):
    if ep < w: return s
    return min(s + (e-s)*(ep-w)/max(tot-w, 1), e)
for i, (s, e, w, tot) in enumerate([(0,.9,5,100),(.1,.8,0,10),(0,.9,5,5),(0,.9,10,5),(.2,.2,3,9),(0,1,1,2),(.3,.7,4,50)]):
    for ep in sorted({0, 1, w-1 if w else 0, w, w+1, tot//2, tot-1, tot, tot+7}):
        o.case(f"alpha_{i}_{ep}", alpha_start=float(s), alpha_end=float(e), warmup_epochs=w, epoch=ep, total_epochs=tot, alpha=float(get_alpha(s,e,w,ep,tot)))

# --- 3. [sat] target=ema  (weighted, per-sample soft-label history) ---------------------------
o = File("sat_ema.txt", "EMA targets. epoch < warmup_epochs: cross-entropy, history untouched. Otherwise t <- m t + (1-m) softmax(z), w_i = max_j t_ij,\n"
         "weight_i = w_i B / sum w; loss = mean_i weight_i * (-sum_j t_ij log p_ij). Steps run in order and share the history; history starts at onehot.\n"
         "A batch that holds a sample twice updates in batch order; each position uses the value after its own update.\n"
         "grad is per sample, not divided by the batch; per_sample is already weighted.")
def pick(N, B, twice): # B sample ids; `twice`: the last repeats the first
    i = rng.permutation(N)[:B]
    if twice: i[-1] = i[0]
    return torch.tensor(i)
for i, (N, c, m, es, B, steps, twice) in enumerate([(6,4,.9,1,3,8,0),(5,10,.7,0,2,10,0),(3,2,.99,2,3,5,0),(5,4,.8,0,3,5,1)]):
    y = labels(N, c); T = F.one_hot(y, c).double()
    for k in range(steps):
        per_epoch = math.ceil(N/B); epoch = k//per_epoch
        idx = pick(N, B, twice); z = logits(B, c, 2)
        if epoch < es:
            per = F.cross_entropy(z, y[idx], reduction="none")
        else:
            p = F.softmax(z.detach(), 1); t = torch.zeros(B, c)
            for b in range(B): T[idx[b]] = m*T[idx[b]] + (1-m)*p[b]; t[b] = T[idx[b]]
            w = t.max(1).values; w = w*B/w.sum()
            per = -(t*F.log_softmax(z, 1)).sum(1)*w
        per.sum().backward()
        o.case(f"ema_{i}_{k}", samples=N, momentum=float(m), warmup_epochs=es, epoch=epoch, all_labels=y, index=idx, logits=z, per_sample=per, loss=per.mean(), grad=z.grad, history=T)

# --- 4. [sat] target=abstain  (C+1 logits, one float of history a sample) ----------------------
o = File("sat_abstain.txt", "Selective classification with an abstain logit (the last). epoch < warmup_epochs: cross-entropy over the first C logits, history untouched.\n"
         "Otherwise q = softmax(z[0..C-1]), t_y <- m t_y + (1-m) q_y from t_y = 1 on the first visit (updated on that visit too),\n"
         "loss_i = -(t_y log P_y + (1-t_y) log P_C) with P = softmax over C+1; beta adds beta * H(q), in warm-up too. history holds t_y of every sample.\n"
         "A batch that holds a sample twice updates in batch order; each position uses the value after its own update.")
for i, (N, c, m, es, B, steps, be, twice) in enumerate([(6,4,.9,1,3,8,0,0),(5,10,.9,0,2,10,0,0),(3,2,.99,0,3,5,0,0),(4,5,.9,0,4,4,.01,0),(4,3,.5,0,2,6,.5,0),(6,4,.9,1,3,6,.05,0),(5,3,.8,0,3,5,0,1)]):
    y = labels(N, c); H = torch.ones(N)
    for k in range(steps):
        epoch = k//math.ceil(N/B); idx = pick(N, B, twice); z = logits(B, c+1, 2); yb = y[idx]; r = torch.arange(B)
        if epoch < es:
            per = F.cross_entropy(z[:, :c], yb, reduction="none")
        else:
            q = F.softmax(z.detach()[:, :c], 1); t = torch.zeros(B)
            for b in range(B): H[idx[b]] = m*H[idx[b]] + (1-m)*q[b, yb[b]]; t[b] = H[idx[b]]
            lp = F.log_softmax(z, 1); per = -(t*lp[r, yb] + (1-t)*lp[:, c])
        if be:
            lq = F.log_softmax(z[:, :c], 1); per = per + be*-(lq.exp()*lq).sum(1)
        per.sum().backward()
        o.case(f"abstain_{i}_{k}", samples=N, classes=c, momentum=float(m), beta=float(be), warmup_epochs=es, epoch=epoch, all_labels=y, index=idx, logits=z, per_sample=per, loss=per.mean(), grad=z.grad, history=H)

# --- 5. gambler ------------------------------------------------------------------------------
o = File("gambler.txt", "Deep Gamblers: loss_i = -log(P_y + P_C / reward), P = softmax over C+1, reward > 1. grad per sample.")
for i, (n, c, s, rw) in enumerate([(4,10,1,2.2),(8,2,3,1.5),(3,100,2,6.0),(5,4,40,2.2)]):
    z, y = logits(n, c+1, s), labels(n, c); lp = F.log_softmax(z, 1)
    per = -torch.logaddexp(lp[torch.arange(n), y], lp[:, c]-math.log(rw)); per.sum().backward()
    o.case(f"gambler_{i}", classes=c, reward=float(rw), logits=z, labels=y, per_sample=per, loss=per.mean(), grad=z.grad)

# --- 6. confidence ---------------------------------------------------------------------------
o = File("confidence.txt", "Confidence scores of each row, higher = accept. log_msp = log of the largest softmax probability. entropy is -H (nats). margin = p1-p2. gini = sum p^2.\n"
         "energy = T*logsumexp(z/T), T=1. pnorm_P = max(z-mean)/||z-mean||_P. abstain = 1-P_last (last logit is the abstain logit; the others use all logits here).")
for i, (n, c, s) in enumerate([(6,10,1),(6,3,5),(4,1000,2),(5,4,30)]):
    z = logits(n, c, s).detach(); p = F.softmax(z, 1); lp = F.log_softmax(z, 1); s2 = p.sort(1, descending=True).values; d = z-z.mean(1, keepdim=True)
    kw = {f"pnorm_{k}": d.max(1).values/d.norm(k, 1) for k in (1, 2, 5)}
    o.case(f"conf_{i}", logits=z, msp=s2[:, 0], log_msp=lp.max(1).values, margin=s2[:, 0]-s2[:, 1], entropy=(p*lp).sum(1), gini=(p*p).sum(1),
           maxlogit=z.max(1).values, energy=torch.logsumexp(z, 1), abstain=1-p[:, -1], **kw)

# --- 7. selective metrics --------------------------------------------------------------------
o = File("metrics.txt", "conf: confidence, error: 1 = wrong. Ties are one group: accepted or rejected together; inside a group cumulative errors grow linearly (their expectation).\n"
         "aurc = mean_k E_k/k, k=1..n. aurc_trapezoid = trapezoid over (k/n, E_k/k) from 1/n to 1 (another tool's convention). aurc_oracle = aurc of the best order.\n"
         "eaurc = aurc-aurc_oracle. augrc = trapezoid of (k/n, E_k/n) from (0,0). auroc = P(conf of a right > conf of a wrong), ties 1/2, nan if undefined.\n"
         "risk_at_C: errors/accepted of the smallest whole-group acceptance with coverage >= C. cov_at_R: largest coverage of a threshold (whole groups) whose risk <= R, 0 if none.")
def curve(conf, err):
    order = np.argsort(-conf, kind="stable"); c, e = conf[order], err[order].astype(float); n = len(c); E = np.zeros(n); k = 0; base = 0.; pts = []
    while k < n:
        j = k
        while j < n and c[j] == c[k]: j += 1
        tot = e[k:j].sum()
        for q in range(k, j): E[q] = base + tot*(q-k+1)/(j-k)
        base += tot; k = j; pts.append((j, base, c[j-1]))
    return E, pts
def metrics(conf, err):
    n = len(conf); E, pts = curve(conf, err); k = np.arange(1, n+1); m = int(err.sum())
    Eo = np.maximum(0, k-(n-m)); r = {}
    r["aurc"] = np.mean(E/k); r["aurc_trapezoid"] = np.trapz(E/k, k/n) if n > 1 else 0.0
    r["aurc_oracle"] = np.mean(Eo/k); r["eaurc"] = r["aurc"]-r["aurc_oracle"]
    r["augrc"] = np.trapz(np.r_[0, E]/n, np.r_[0, k]/n)
    r["auroc"] = roc_auc_score(1-err, conf) if 0 < m < n else float("nan")
    if 0 < m < n: assert abs(r["augrc"]-((1-r["auroc"])*(1-m/n)*(m/n)+.5*(m/n)**2)) < 1e-12
    for C in (.5, .8, .9, 1.0):
        j, b, _ = next(p for p in pts if p[0] >= C*n-1e-9); r[f"risk_at_{C}"] = b/j
    for R in (0.0, .05, .1, .3):
        ok = [j/n for j, b, _ in pts if b/j <= R+1e-12]; r[f"cov_at_{R}"] = max(ok) if ok else 0.0
    return r
cases = [(rng.random(40), rng.random(40) < .3), (rng.integers(0, 5, 60)/5, rng.random(60) < .2), (np.full(4, .5), np.array([1,0,0,0])), (np.array([.7]), np.array([1])),
         (np.array([.7]), np.array([0])), (rng.random(25), np.zeros(25)), (rng.random(25), np.ones(25)), (np.array([.9,.8,.7,.6,.5]), np.array([0,0,1,0,1])),
         (np.array([.4,.3,.2,.1]), np.array([1,0,0,0])), (1-rng.random(500)**3, rng.random(500) < .07), (np.r_[np.ones(50), rng.random(50)], np.r_[rng.random(50) < .02, rng.random(50) < .5])]
for i, (c, e) in enumerate(cases):
    c, e = f32(c), np.asarray(e).astype(int); o.case(f"metrics_{i}", conf=c, error=e, **{k: float(v) for k, v in metrics(c, e).items()})

# --- 8. calibration --------------------------------------------------------------------------
o = File("calibration.txt", "Over class probabilities: ece/mce with 15 equal-width bins (l,u] (conf 0 in the first bin), nll (mean -log p_y), brier (mean over samples of sum_j (p_j - onehot_j)^2), accuracy.\n"
         "temperature = argmin over T>0 of the mean nll of softmax(z/T).")
for i, (n, c, s) in enumerate([(200,10,2),(50,2,1),(300,5,4)]):
    z = logits(n, c, s).detach(); y = torch.tensor([int(rng.choice(c, p=F.softmax(q/1.7, 0).numpy())) for q in z]); p = F.softmax(z, 1); conf, pred = p.max(1); ok = (pred == y).double()
    ece = mce = 0.
    for b in range(15):
        lo, hi = b/15, (b+1)/15; m = (conf > lo) & (conf <= hi)
        if m.any(): g = abs(ok[m].mean()-conf[m].mean()).item(); ece += g*m.double().mean().item(); mce = max(mce, g)
    from scipy.optimize import minimize_scalar
    T = math.exp(minimize_scalar(lambda lt: F.cross_entropy(z/math.exp(lt), y).item(), bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x)
    o.case(f"calib_{i}", logits=z, labels=y, ece=ece, mce=mce, nll=log_loss(y, p, labels=range(c)), brier=((p-F.one_hot(y, c))**2).sum(1).mean(), accuracy=ok.mean(), temperature=T)

# --- 9. binomial bounds ----------------------------------------------------------------------
o = File("bounds.txt", "k errors in m accepted: upper = one-sided upper confidence bound on the error rate at confidence 1-delta (exact binomial, Clopper-Pearson), lower likewise. k=m gives upper 1, k=0 lower 0.")
for i, (k, m, d) in enumerate([(0,100,.05),(0,100,.001),(10,1000,.001),(1,22,.05),(15,22,.05),(22,22,.05),(0,1,.1),(1,1,.1),(300,100000,1e-6),(7,50,.01)]):
    o.case(f"bound_{i}", k=k, m=m, delta=float(d), upper=float(beta.ppf(1-d, k+1, m-k)) if k < m else 1.0, lower=float(beta.ppf(d, k, m-k+1)) if k else 0.0)

# --- 10. novelty -----------------------------------------------------------------------------
o = File("novelty.txt", "Features (images x row, depths one after the other) and labels of training images; scores of the rows of `test`.\n"
         "S: mean of (x - mean of its class)(..)' plus .01 r diag(v), v: variances of the features plus 1e-6 of their mean, r: mean of S_ii / v_i.\n"
         "d(c): square of the Mahalanobis distance to the mean of class c by S, d: to that of all images by S plus the covariance of the classes' means.\n"
         "mahalanobis = min d(c), relative = min d(c) - d, of the last depth; joint = min d(c) - .8 d of all.")
def distances(x, y, t):
    n, mean = len(x), x.mean(0)
    seen = np.unique(y)
    means = np.array([x[y == c].mean(0) for c in seen])
    w = x - means[np.searchsorted(seen, y)]
    s, v = w.T @ w / n, x.var(0)
    v = v + 1e-6*v.mean()
    s = s + .01*np.mean(np.diag(s)/v)*np.diag(v)
    b = sum(np.mean(y == c)*np.outer(m - mean, m - mean) for c, m in zip(seen, means))
    d = lambda m, cov: np.einsum("ni,ni->n", t - m, np.linalg.solve(cov, (t - m).T).T)
    return np.min([d(m, s) for m in means], 0), d(mean, s + b)
for i, (n, c, depths) in enumerate([(200,3,(4,6)),(150,10,(2,3,5)),(30,4,(10,23)),(300,2,(1,)),(128,5,(3,8))]):
    row = sum(depths)
    y = rng.integers(0, c, n)
    if i == 4: y[y == 2] = 3                                        # a class without images
    x = rng.normal(0, 1, (n, row)) @ rng.normal(0, 1, (row, row)) + 2*rng.normal(0, 1, (c, row))[y] + 5
    if i == 1: x[:, 3] = .5                                         # a feature that stands still
    t = np.concatenate([x[:5] + rng.normal(0, .1, (5, row)), 20*rng.normal(0, 1, (4, row))])
    x, t = np.round(8*x)/8, np.round(8*t)/8
    near, all_ = distances(x, y, t)
    last, last_all = distances(x[:, -depths[-1]:], y, t[:, -depths[-1]:])
    o.case(f"novelty_{i}", classes=c, depths=np.array(depths), x=x, y=y, test=t, joint=near - .8*all_, mahalanobis=last,
           relative=last - last_all)

# --- 11. [sat] target=elr ---------------------------------------------------------------------
o = File("sat_elr.txt", "Early-learning regularisation: q = clamp(softmax(z), 1e-4, 1-1e-4), t <- b t + (1-b) q / sum q from zeros (q held constant there),\n"
         "loss_i = -log p_y + lambda log(1 - sum_j q_j t_j), as the authors' code. Steps run in order and share the history.\n"
         "A batch that holds a sample twice updates in batch order; each position uses the value after its own update.")
for i, (N, c, b_, lam, B, steps, s, twice) in enumerate([(6,4,.7,3,3,8,2,0),(5,10,.9,7,2,8,2,0),(3,2,.5,1,3,5,1,0),(4,5,.7,3,4,6,12,0),(5,4,.7,3,3,5,2,1)]):
    y = labels(N, c); T = torch.zeros(N, c)
    for k in range(steps):
        idx = pick(N, B, twice); z = logits(B, c, s); p = F.softmax(z, 1); q = p.clamp(1e-4, 1-1e-4); t = torch.zeros(B, c)
        for b in range(B): T[idx[b]] = b_*T[idx[b]] + (1-b_)*(q[b]/q[b].sum()).detach(); t[b] = T[idx[b]]
        per = F.cross_entropy(z, y[idx], reduction="none") + lam*(1-(t*q).sum(1)).log()
        per.sum().backward()
        o.case(f"elr_{i}_{k}", samples=N, elr_beta=float(b_), elr_lambda=float(lam), epoch=k//math.ceil(N/B), all_labels=y, index=idx, logits=z, per_sample=per, loss=per.mean(), grad=z.grad, history=T)

# --- 12. [selective] --------------------------------------------------------------------------
o = File("selective.txt", "SelectiveNet: logits f (C), with auxiliary=1 h (C), then s; g = sigmoid(s), phi = mean g, l = cross-entropy of f.\n"
         "loss = alpha (mean(l g) / phi + lambda max(0, coverage - phi)^2) + (1-alpha) mean cross-entropy of h (without h: of f).\n"
         "grad: dloss/dz times the batch.")
for i, (n, c, aux, cov, lam, al, s) in enumerate([(4,10,0,.8,32,.5,1),(8,3,1,.8,32,.5,2),(5,4,1,.3,32,.7,2),(6,2,0,.95,10,1.,3),(3,5,1,1.,5,0.,1),(7,4,0,.5,32,.5,15)]):
    z, y = logits(n, (2*c if aux else c) + 1, s), labels(n, c)
    f, h, g = z[:, :c], z[:, c:2*c] if aux else z[:, :c], torch.sigmoid(z[:, -1])
    l, phi = F.cross_entropy(f, y, reduction="none"), g.mean()
    loss = al*((l*g).mean()/phi + lam*torch.clamp(cov-phi, min=0)**2) + (1-al)*F.cross_entropy(h, y); loss.backward()
    o.case(f"selective_{i}", classes=c, auxiliary=aux, coverage=float(cov), selective_lambda=float(lam), selective_alpha=float(al), logits=z, labels=y, loss=loss, grad=z.grad*n,
           prob=F.softmax(f, 1), selection=g)
