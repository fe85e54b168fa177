/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A governed action between six parts: immune (proposes), Guardian, the governance gate, the ledger, a person (votes, pauses), the unit
 * (dies and starts again by itself). Two identical requests; kill -9 of any part at any point; a use-by time that passes. P1 to P10 are the
 * invariants of the protocol.
 *
 * Each rule of the protocol stands between #ifndef NO_RULE and #endif. run.py takes one after the other out, and spin must then find a
 * counterexample: a rule without one would be a rule that nobody needs.
 *
 * Bounds: PR proposals, CR kills, TM use-by times, DEATHS of the unit. EVIL: forged messages of the gate. ROLL: the log is put back once; that can
 * only be noticed by a part that holds an acknowledgement of what is gone, so it goes with CR=1.
 *
 * What the programs do as well has a label `part_name:`; transitions.txt says what it is there.
 */
#ifndef PR
#define PR 2   /* proposals of immune, equal in action, target and arguments */
#endif
#ifndef CR
#define CR 2   /* kills, all parts together */
#endif
#ifndef TM
#define TM 1   /* use-by times that pass */
#endif
#ifndef DEATHS
#define DEATHS 1 /* the unit dies and starts again within its own budget */
#endif
#ifndef EVIL
#define EVIL 0 /* forged messages of the gate */
#endif
#ifndef ROLL
#define ROLL 0 /* the log is put back to an earlier state */
#endif
#define MAXL 16
#define NOREC 99

mtype = { DEC, INT, ACT, APP, VOI };         /* kinds of records: decision, intent, action, approval (granted), approval (void) */
mtype = { ALLOW, ASK, NONE };                /* verdicts */
mtype = { DECIDE, ANSWERED };                /* Guardian to the gate */
mtype = { VOTE, PAUSE };                     /* a person to Guardian */

/* ---- the durable log, and what a fold of it says */
typedef rec { mtype k; byte req; mtype v; byte ref };
rec L[MAXL]; byte n = 0;
byte ask[PR+1], fin[PR+1], app[PR+1], voi[PR+1], nint[PR+1], nact[PR+1]; /* index + 1 of the last such record of a request; how many */
byte nask[PR+1], nfin[PR+1];
byte ep_v = 0, hw_v = 0, ix_v = 0, hw_g = 0, ix_g = 0; /* the gate's epoch; highest sequence of each writer and the index it got */
byte reqinc[PR+1];                           /* the incarnation in the request, hence in its digest */
bool paused = false;                         /* Guardian's marker in the state directory */

/* ---- pipes */
chan g2v = [2] of { mtype, byte };
chan v2g = [2] of { byte, mtype, byte };           /* VERDICT request, verdict, index of the decision */
chan v2l = [2] of { mtype, byte, mtype, byte, byte, byte };    /* APPEND kind, request, verdict, approval, epoch, sequence */
chan g2l = [2] of { mtype, byte, byte, byte };     /* APPEND kind, request, ref, sequence */
chan l2v = [2] of { byte, byte };                  /* acknowledged sequence, index; NOREC: refused */
chan l2g = [2] of { byte, byte };
chan i2g = [1] of { byte };                        /* PROPOSE */
chan p2g = [1] of { mtype };

byte crashes = CR, tmo = TM, evil = EVIL, roll = ROLL;
byte lgen = 0, vgen = 0, inc = 0, deaths = DEATHS;
bool iwait = false;                          /* immune waits for the answer to its proposal */
byte proposed = 0;
/* ghosts */
byte acted[PR+1], used[PR+1]; bool must[PR+1];

inline drop1(c) { do :: nempty(c) -> c?_ :: empty(c) -> break od }
inline drop2(c) { do :: nempty(c) -> c?_,_ :: empty(c) -> break od }
inline drop3(c) { do :: nempty(c) -> c?_,_,_ :: empty(c) -> break od }
inline drop6(c) { do :: nempty(c) -> c?_,_,_,_,_,_ :: empty(c) -> break od }
inline drop4(c) { do :: nempty(c) -> c?_,_,_,_ :: empty(c) -> break od }

/* digest and request_id bind a record, a verdict and an approval to the one request they are about; without: to what it is about */
#ifndef NO_REQID
#define BOUND(x, y) ((x) == (y))
#else
#define BOUND(x, y) true
#endif
#ifndef NO_ALLOW2
#define IS_YES(x, rr) (L[x].v == ALLOW)
#else
#define IS_YES(x, rr) (L[x].v == ALLOW || (L[x].v == ASK && app[rr] > 0))
#endif
/* ---- ledger: appends are durable, then acknowledged; kill -9 in between loses the acknowledgement and what was on the way */
byte pa_v = 0, pix_v = 0, pa_g = 0, pix_g = 0;

inline store(kk, rr, vv, aa, ff) {
  assert(n < MAXL); L[n].k = kk; L[n].req = rr; L[n].v = vv; L[n].ref = ff; n++;
  if
  :: kk == DEC && vv == ASK   -> ask[rr] = n; nask[rr]++
  :: kk == DEC && vv == ALLOW -> fin[rr] = n; nfin[rr]++;
       assert(app[aa] > 0 && voi[aa] == 0);   /* P7: an allow after a question stands behind the vote; a void approval is not used */
       used[aa]++; assert(used[aa] == 1)      /* P2: no approval is used twice */
  :: kk == APP -> app[rr] = n
  :: kk == VOI -> voi[rr] = n
  :: kk == INT -> nint[rr]++
  :: kk == ACT -> nact[rr]++
  fi }

proctype Ledger() { mtype k, v; byte r, a, e, f, s; bool bad;
  do
  :: atomic { pa_v == 0 && nempty(v2l) ->
ledger_append_gate: v2l?k,r,v,a,e,s;
       if
#ifndef NO_IDEM
       :: e == ep_v && s <= hw_v -> pix_v = ix_v
       :: !(e == ep_v && s <= hw_v) ->
#else
       :: true ->
#endif
#ifndef NO_RIGHTS
          if :: k != DEC -> pix_v = NOREC          /* only decisions are the gate's to write */
             :: else -> store(k, r, v, a, 0); pix_v = n - 1 fi;
#else
          store(k, r, v, a, 0); pix_v = n - 1;
#endif
          if :: e >= ep_v -> ep_v = e; hw_v = s; ix_v = pix_v :: else -> skip fi
       fi;
       if :: e == vgen -> pa_v = s :: else -> pix_v = 0 fi; k = 0; v = 0; r = 0; a = 0; e = 0; s = 0 }
  :: atomic { pa_v != 0 && nfull(l2v) ->
ledger_ack_gate: l2v!pa_v,pix_v; pa_v = 0; pix_v = 0 }
  :: atomic { pa_g == 0 && nempty(g2l) ->
ledger_append_guardian: g2l?k,r,f,s;
       if
#ifndef NO_IDEM
       :: s <= hw_g -> pix_g = ix_g
       :: s > hw_g ->
#else
       :: true ->
#endif
          bad = false;
#ifndef NO_LCHK
          /* a decision of the gate that says yes, to the same request, and no intent refers to it yet */
          if :: k == INT -> bad = (f >= n || nint[r] > 0 || L[f].k != DEC || !(IS_YES(f, r)) || !(BOUND(L[f].req, r))) :: else -> skip fi;
#endif
          if :: bad -> pix_g = NOREC :: else -> store(k, r, NONE, 0, f); pix_g = n - 1 fi;
          hw_g = s; ix_g = pix_g
       fi;
       pa_g = s; k = 0; r = 0; f = 0; s = 0; bad = false }
  :: atomic { pa_g != 0 && nfull(l2g) ->
ledger_ack_guardian: l2g!pa_g,pix_g; pa_g = 0; pix_g = 0 }
  :: atomic { crashes > 0 -> crashes--; pa_v = 0; pa_g = 0; pix_v = 0; pix_g = 0; drop6(v2l); drop4(g2l); drop2(l2v); drop2(l2g); lgen++;
       if
       :: roll > 0 && n > 2 && fin[1] == 3 && app[1] == 2 && hw_g >= 1 -> roll--;   /* the log is put back behind our backs: what follows the vote is gone */
            do :: n > 2 -> n--; L[n].k = 0; L[n].req = 0; L[n].v = 0; L[n].ref = 0 :: else -> break od;
            fin[1] = 0; nfin[1] = 0; nint[1] = 0; nact[1] = 0; used[1] = 0; hw_v = 0; hw_g = 1; ix_g = 1;
            ask[PR] = (PR == 1 -> ask[1] : 0); nask[PR] = (PR == 1 -> nask[1] : 0); app[PR] = (PR == 1 -> 2 : 0);
            fin[PR] = 0; nfin[PR] = 0; nint[PR] = 0; nact[PR] = 0; voi[PR] = 0; used[PR] = 0
       :: true -> skip
       fi }
  od }

/* ---- Guardian's state */
#define G_IDLE 0
#define G_DECIDE 1
#define G_ASKED 2
#define G_VOTE 3
#define G_REDECIDE 4
#define G_INTENT 5
#define G_CHECKED 6
#define G_ACT 7
#define G_RECORD 8
#define G_VOID 9
byte gst = 0, cur = 0, gseq = 0, gref = 0, ggen = 0, gvgen = 0, ghigh = 0, minted = 0; mtype gk = 0;
bool ginit = true, late = false, gdead = false, listed[PR+1];

/* ---- gate */
byte vst = 0;                                /* 1: an append is not acknowledged */
byte vr = 0, va = 0, vseq = 0, vgenl = 0, vhigh = 0; mtype vv = 0;
bool vinit = true, vdead = false;            /* vdead: the ledger came back shorter */
#ifndef NO_ROLLBACK
#define V_OK !vdead
#else
#define V_OK true
#endif
#ifndef NO_FENCE   /* the predecessor's pipe is read to its end before a fold is asked for */
#define V_FENCED (len(v2l) == 0 && pa_v == 0)
#else
#define V_FENCED true
#endif
inline decide(rr, vd, aa) { vseq++; vst = 1; vr = rr; vv = vd; va = aa; vgenl = lgen; v2l!DEC,rr,vd,aa,vgen,vseq }
/* evaluates an answered approval: once */
#ifndef NO_CONS   /* an allow that carries an approval is its consumption */
#define UNUSED(x) (fin[x] == 0)
#else
#define UNUSED(x) true
#endif
#ifndef NO_VOTEDUR
#define VOTED(x) (app[x] > 0)
#else
#define VOTED(x) true
#endif
proctype Gate() { byte r, s, x; mtype m;
  do
  :: atomic { vst == 0 && vinit && V_OK && nfull(v2l) && nfull(v2g) && g2v?[DECIDE,_] ->
gate_decide: g2v?m,r;
       if
#ifndef NO_DEDUP
       :: fin[r] > 0 -> v2g!r,ALLOW,fin[r]-1
       :: fin[r] == 0 && ask[r] > 0 -> v2g!r,ASK,ask[r]-1
       :: fin[r] == 0 && ask[r] == 0 ->
#else
       :: true ->
#endif
#ifdef NO_REQID    /* approvals matched by what they are about */
          if :: r == 2 && app[1] > 0 && fin[2] == 0 && voi[1] == 0 -> decide(r, ALLOW, 1)
             :: else -> decide(r, ASK, 0) fi
#else
          decide(r, ASK, 0)
#endif
       fi; r = 0; m = 0 }
  :: atomic { vst == 0 && vinit && V_OK && nfull(v2l) && nfull(v2g) && g2v?[ANSWERED,_] ->
gate_answered: g2v?m,r;
       if
       :: fin[r] > 0 && !(UNUSED(r)) -> v2g!r,ALLOW,fin[r]-1
#ifndef NO_ALLOW2
       :: UNUSED(r) && VOTED(r) && voi[r] == 0 -> decide(r, ALLOW, r)
#else
       :: UNUSED(r) && VOTED(r) && voi[r] == 0 -> v2g!r,ALLOW,ask[r]-1    /* the question itself turns into a yes */
#endif
       :: else -> skip
       fi; r = 0; m = 0 }
#if !defined(NO_TAKEUP) && !defined(NO_ALLOW2)
  /* a gate that starts finds answered approvals itself */
  :: atomic { vst == 0 && vinit && V_OK && nfull(v2l) && (app[1] > 0 && fin[1] == 0 && voi[1] == 0) -> 
gate_take_up: decide(1, ALLOW, 1) }
  :: atomic { vst == 0 && vinit && V_OK && nfull(v2l) && (app[PR] > 0 && fin[PR] == 0 && voi[PR] == 0) -> decide(PR, ALLOW, PR) }
#endif
  :: atomic { nempty(l2v) && nfull(v2g) ->
gate_ack: l2v?s,x;
       if :: vst == 1 && s == vseq -> vst = 0; if :: x > vhigh && x != NOREC -> vhigh = x :: else -> skip fi;
             if :: x != NOREC -> v2g!vr,vv,x :: else -> skip fi
          :: else -> skip fi; s = 0; x = 0 }
#ifndef NO_RESEND
  :: atomic { vinit && vgenl != lgen && nfull(v2l) ->
gate_reattach: vgenl = lgen; drop2(l2v);
       if :: vhigh >= n && n > 0 -> vdead = true :: else -> skip fi;
       if :: vst == 1 && V_OK -> v2l!DEC,vr,vv,va,vgen,vseq :: else -> skip fi }
#endif
#if EVIL
  :: atomic { evil > 0 && gst == 1 && nfull(v2g) && n > 0 -> evil--; select(x : 0 .. 2); v2g!cur,ALLOW,x; x = 0 }    /* an allow that is not on record */
  :: atomic { evil > 0 && vst == 0 && vinit && nfull(v2l) && cur > 0 && ask[cur] > 0 -> evil--; vseq++; v2l!APP,cur,NONE,0,vgen,vseq }  /* an invented vote */
#endif
  :: atomic { crashes > 0 && vinit -> crashes--; vst = 0; vinit = false; vdead = false; vhigh = 0; vgen++; vr = 0; va = 0; vv = 0; r = 0; s = 0; x = 0; m = 0;
       drop2(g2v); drop3(v2g); drop2(l2v); pa_v = 0; pix_v = 0 }
  :: atomic { !vinit && V_FENCED ->
gate_start: vinit = true; vseq = 0; vgenl = lgen }
  od }

/* ---- Guardian */
inline put(kk) { gseq++; gk = kk; ggen = lgen; g2l!kk,cur,gref,gseq }
inline over() { gst = G_IDLE; cur = 0; gref = 0; late = false; gk = 0 }
inline answer() { iwait = false }
#ifndef NO_ROLLBACK
#define G_OK !gdead
#else
#define G_OK true
#endif
inline run_it() {
       assert(!paused);                                     /* P4 */
       assert(!late);                                       /* P4 */
       assert(inc == reqinc[cur]);                          /* P3 */
       assert(L[gref].k == DEC && L[gref].v == ALLOW);      /* P1 a durable allow */
       assert(L[gref].req == cur);                          /* P1 its own */
       assert(nint[cur] == 1);                              /* P7 behind its durable intent */
       acted[cur]++; assert(acted[cur] == 1);               /* P2 */
#ifdef REACH
       assert(cur < PR);                                    /* the control: the last request can be acted on */
#endif
       inc++; gst = G_ACT }
proctype Guardian() { byte r, d, s, x; mtype v; bool ok;
  do
  :: atomic { ginit && nempty(i2g) && nfull(g2v) ->
guardian_propose: i2g?x; x = 0;
       if :: gst == G_IDLE && minted < PR && !paused && G_OK && !listed[1] ->
              minted++; cur = minted; reqinc[cur] = inc; gst = G_DECIDE; gvgen = vgen; late = false; g2v!DECIDE,cur
          :: else -> answer() fi }                           /* refused: paused, or one is open on that target */
#ifndef NO_REASK
  :: atomic { (gst == G_DECIDE || gst == G_REDECIDE) && gvgen != vgen && vinit && nfull(g2v) ->
guardian_gate_attached: gvgen = vgen; if :: gst == G_DECIDE -> g2v!DECIDE,cur :: else -> g2v!ANSWERED,cur fi }
#endif
  :: atomic { tmo > 0 && (gst == G_DECIDE || gst == G_REDECIDE) ->
guardian_use_by: tmo--; answer(); over() }                   /* governance_unavailable */
  :: atomic { tmo > 0 && gst == G_INTENT && !late ->
guardian_late: tmo--; late = true }
  :: atomic { nempty(v2g) && nfull(g2l) ->
guardian_verdict: v2g?r,v,d;
       if
#ifndef NO_REQID
       :: cur > 0 && r == cur && v == ALLOW && (gst == G_DECIDE || gst == G_REDECIDE)
#else
       :: cur > 0 && v == ALLOW && (gst == G_DECIDE || gst == G_REDECIDE)  /* same action, target, arguments */
#endif
          -> gref = d;
#ifndef NO_INTENT
             gst = G_INTENT; put(INT)
#else
             gst = G_INTENT; put(INT); run_it()              /* acts before the intent is durable */
#endif
       :: r == cur && v == ASK && gst == G_DECIDE -> gst = G_ASKED
       :: else -> skip                                       /* late, or none of ours: counted */
       fi; r = 0; v = 0; d = 0 }
  :: atomic { ginit && nempty(p2g) && nfull(g2l) && nfull(g2v) ->
guardian_person: p2g?v;
       if
       :: v == PAUSE -> paused = true                         /* acknowledged: no act after this */
       :: v == VOTE && gst == G_ASKED && (
#ifndef NO_VOID
            inc == reqinc[cur] &&
#endif
            true) -> assert(inc == reqinc[cur]);              /* nobody approves what is gone */
            gref = ask[cur] - 1;
#ifndef NO_VOTEDUR
            gst = G_VOTE; put(APP)
#else
            gst = G_REDECIDE; put(APP); gvgen = vgen; g2v!ANSWERED,cur
#endif
       :: else -> skip
       fi; v = 0 }
#ifndef NO_VOID
  :: atomic { gst == G_ASKED && inc != reqinc[cur] && nfull(g2l) ->
guardian_target_gone: gref = ask[cur] - 1; gst = G_VOID; put(VOI) }
#endif
  :: atomic { nempty(l2g) && nfull(g2v) ->
guardian_ack: l2g?s,x;
       if :: s == gseq && x != NOREC && x > ghigh -> ghigh = x :: else -> skip fi;
       if
       :: s != gseq -> skip
       :: s == gseq && gst == G_VOTE && x != NOREC -> gst = G_REDECIDE; gvgen = vgen; g2v!ANSWERED,cur
       :: s == gseq && gst == G_VOID -> answer(); over()
       :: s == gseq && gst == G_RECORD -> answer(); over()
       :: s == gseq && gst == G_INTENT && x == NOREC -> answer(); over()   /* the ledger refused the intent */
       :: s == gseq && gst == G_INTENT && x != NOREC ->
            ok = true;
#ifndef NO_INC
            if :: inc != reqinc[cur] -> ok = false :: else -> skip fi;
#endif
#ifndef NO_PAUSE
            if :: paused -> ok = false :: else -> skip fi;
#endif
#ifndef NO_USEBY
            if :: late -> ok = false :: else -> skip fi;
#endif
#ifndef NO_TURN
            if :: ok -> run_it() :: else -> gst = G_ACT fi
#else
            if :: ok -> gst = G_CHECKED :: else -> gst = G_ACT fi
#endif
       :: else -> skip
       fi; s = 0; x = 0; ok = false }
#ifdef NO_TURN
  :: atomic { gst == G_CHECKED -> run_it() }
#endif
  :: atomic { gst == G_ACT && nfull(g2l) ->
guardian_result: gst = G_RECORD; put(ACT) }
#ifndef NO_RESEND
  :: atomic { ginit && ggen != lgen && nfull(g2l) ->
guardian_reattach: ggen = lgen; drop2(l2g);
       if :: ghigh >= n && n > 0 -> gdead = true :: else -> skip fi;
       if :: G_OK && (gst == G_VOTE || gst == G_VOID || gst == G_INTENT || gst == G_RECORD) -> g2l!gk,cur,gref,gseq
          :: !(G_OK) && gst != G_IDLE -> answer(); over()
          :: else -> skip fi }
#endif
  /* kill -9 of Guardian ends everything: the parts see their pipes end. What was on its way is lost or was durable before */
  :: atomic { crashes > 0 && ginit -> crashes--; ginit = false; over(); gdead = false; listed[1] = false; listed[PR] = false; ghigh = 0; iwait = false; r = 0; d = 0; s = 0; x = 0; v = 0; ok = false;
       drop1(i2g); drop1(p2g); drop2(g2v); drop3(v2g); drop2(l2g); drop2(l2v); drop4(g2l); drop6(v2l); pa_g = 0; pix_g = 0; pa_v = 0; pix_v = 0;
       lgen++; vgen++; vst = 0; vinit = false; vdead = false; vhigh = 0; vr = 0; va = 0; vv = 0 }
  :: atomic { !ginit && vinit && nfull(g2v) && nfull(g2l) ->
guardian_start: ginit = true; gseq = hw_g; ggen = lgen; gvgen = vgen;
       /* what an earlier Guardian left open: an intent is closed; what the gate lists of answered and unanswered questions is registered again */
       r = 1;
       do
       :: r <= PR ->
            must[r] = (nint[r] == 0 && fin[r] == 0 && ask[r] > 0 && voi[r] == 0);
            if
            :: nint[r] > nact[r] && gst == G_IDLE ->
#ifndef NO_CLOSE
               cur = r; gref = fin[r] - 1;
#ifndef NO_UNKNOWN
               gst = G_RECORD; put(ACT)                                 /* unknown, never repeated */
#else
               run_it()
#endif
#else
               skip
#endif
#ifndef NO_LIST
            :: nint[r] == 0 && fin[r] == 0 && ask[r] > 0 && voi[r] == 0 -> listed[r] = true
#endif
            :: else -> skip
            fi; r++
       :: else -> break
       od; r = 0 }
#ifndef NO_LIST
  :: atomic { ginit && gst == G_IDLE && vinit && listed[1] && nfull(g2v) ->
guardian_register: listed[1] = false;
       if :: fin[1] > 0 || voi[1] > 0 -> skip
          :: fin[1] == 0 && voi[1] == 0 -> cur = 1; if :: app[1] > 0 -> gst = G_REDECIDE; gvgen = vgen; g2v!ANSWERED,1
                :: app[1] == 0 -> gst = G_ASKED fi fi }
  :: atomic { ginit && gst == G_IDLE && vinit && listed[PR] && nfull(g2v) -> listed[PR] = false;
       if :: fin[PR] > 0 || voi[PR] > 0 -> skip
          :: fin[PR] == 0 && voi[PR] == 0 -> cur = PR; if :: app[PR] > 0 -> gst = G_REDECIDE; gvgen = vgen; g2v!ANSWERED,PR
                :: app[PR] == 0 -> gst = G_ASKED fi fi }
#endif
  od }

/* ---- immune: the same proposal again when its link ended without an answer */
proctype Immune() {
  do
  :: atomic { proposed < PR && !iwait && ginit && nfull(i2g) ->
immune_propose: i2g!1; iwait = true; proposed++ }
  :: atomic { crashes > 0 && iwait -> crashes--; iwait = false; drop1(i2g) }
  od }

proctype Person() { byte votes = 0;
  do
  :: atomic { votes < 2 && ginit && nfull(p2g) && gst == G_ASKED -> votes++; p2g!VOTE }
  :: atomic { ginit && nfull(p2g) && !paused -> p2g!PAUSE; break }
  :: break
  od }

proctype Unit() {
  do
  :: atomic { deaths > 0 -> deaths--; inc++ }
  :: break
  od }

/* ---- when nothing moves any more */
proctype Audit() { byte r;
  atomic { timeout ->
    assert(n == 0 || !iwait || gst == G_ASKED || gdead || vdead);   /* P10 every proposal gets its answer; a person may never come */
    for (r : 1 .. PR) {
      assert(nask[r] <= 1 && nfin[r] <= 1);                        /* P5 */
      assert(nint[r] <= 1 && nact[r] <= 1);                        /* P8 */
      assert(nact[r] >= nint[r] || gdead);                         /* P6 every intent is closed */
      assert(!must[r] || fin[r] > 0 || voi[r] > 0 || cur == r || listed[r] || vdead || gdead);  /* a question outlives Guardian */
      assert(app[r] == 0 || fin[r] > 0 || voi[r] > 0 || vdead || gdead);     /* an answered approval is evaluated */
    } } }

init { atomic { run Ledger(); run Gate(); run Guardian(); run Immune(); run Person(); run Unit(); run Audit() } }
