/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A governed action between six parts: immune (proposes), Guardian, the governance gate, the ledger, a person (votes, says no, pauses), the
 * unit (dies and starts again by itself). Two identical requests; kill -9 of any part at any point; a use-by time that passes.
 *
 * Each rule of the protocol stands between #ifndef NO_RULE and #endif. run.py takes one after the other out, and spin must then find a
 * counterexample: a rule without one would be a rule that nobody needs. What must hold is HOLDS(NAME, condition); with -DONLY=NAME nothing
 * else is looked at, so that a missing rule is seen to break what it is there for.
 *
 * Bounds: PR proposals, CR kills, TM use-by times, DEATHS of the unit. What a configuration of run.py does not need is switched off there, each
 * switch stands below with what it takes away. The log is put back (ROLL) once; that can only be noticed by a part that holds an
 * acknowledgement of what is gone, so it goes with CR=1.
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
#ifndef IMMUNE
#define IMMUNE 0 /* 1: anomaly and incident are written within the search; 0: they are on record, acknowledged, when it begins */
#endif
#ifndef DENIALS
#define DENIALS 0 /* 1: of two people each may say yes or no, also both at once; 0: people say yes or nothing */
#endif
#ifndef PAUSES
#define PAUSES 1 /* a person may pause healing, once and for good */
#endif
#ifndef EVIL
#define EVIL 0 /* forged messages of the gate, and of immune to the ledger */
#endif
#ifndef ROLL
#define ROLL 0 /* the log is put back to an earlier state */
#endif
#ifndef LFAIL
#define LFAIL 0 /* a ledger that ends may say before that it failed (its disk did) */
#endif
#ifndef POLICY
#define POLICY 0 /* another policy is loaded once, between two decisions */
#endif
#define MAXL 20
#define NOREC 99

/* What must hold: P1 to P10 of the protocol, and what follows from its other sentences. */
#define P1 1         /* no act without a durable allow of its own request */
#define P2 2         /* no approval is used twice, no request is carried out twice */
#define P3 3         /* no act on another incarnation */
#define P4 4         /* no act after a pause, or past use-by; lockdown is looked at where a pause is, and left out */
#define P5 5         /* one question and one final decision a request */
#define P6 6         /* each intent is closed */
#define P7 7         /* the order on record: question, vote, decision, intent, act, action */
#define P8 8         /* no record twice */
#define P9 9         /* what the gate has reserved is what a fold of the log says */
#define P10 10       /* each proposal gets its answer */
#define ANSWERED_JUDGED 11 /* an answered approval is evaluated */
#define OUTLIVES 12  /* a question outlives Guardian */
#define NOT_STALE 13 /* nobody approves what is gone */
#define DENIED_RESTS 14 /* a denied request is never acted on: neither one of which somebody heard, nor one on record */
#define ON_RECORD 15 /* the incident of a proposal is on record before its decision */
#define ONE_INCIDENT 16 /* a signal has one incident, whoever is killed */
#define HEALED 17    /* an incident gets its proposals */
#define SAME_POLICY 18 /* what people approved under one policy is not used under another */
#ifdef ONLY
#define HOLDS(p, c) assert((p) != ONLY || (c))
#else
#define HOLDS(p, c) assert(c)
#endif

/* kinds of records: decision, intent, action; approval: granted, denied, void; anomaly, incident */
mtype = { DEC, INT, ACT, APP, DNY, VOI, ANO, INCI };
mtype = { ALLOW, ASK, DENY, NONE };          /* verdicts */
mtype = { DECIDE, ANSWERED };                /* Guardian to the gate */
mtype = { VOTE, NO, PAUSE };                 /* a person to Guardian */

/* ---- the durable log, and what a fold of it says */
typedef rec { mtype k; byte req; mtype v; byte ref };
rec L[MAXL]; byte n = 0;
byte ask[PR+1], fin[PR+1], app[PR+1], voi[PR+1], nint[PR+1], nact[PR+1]; /* index + 1 of the last such record of a request; how many */
byte nask[PR+1], nfin[PR+1], den[PR+1];
byte rev = 0, askrev[PR+1];                  /* the policy's revision, and the one that stands in a question */
byte ninc = 0, incix = NOREC;                /* incidents, and the index of the first */
byte ep_v = 0, hw_v = 0, ix_v = 0, hw_g = 0, ix_g = 0; /* a writer's epoch; its highest sequence and the index that got */
byte ep_i = 0, hw_i = 0, ix_i = 0;
byte reqinc[PR+1], reqi[PR+1];               /* the incarnation and the incident in the request, hence in its digest */
bool paused = false;                         /* Guardian's marker in the state directory */

/* ---- pipes */
chan g2v = [2] of { mtype, byte };
chan v2g = [2] of { byte, mtype, byte };           /* VERDICT request, verdict, index of the decision */
chan v2l = [2] of { mtype, byte, mtype, byte, byte, byte };    /* APPEND kind, request, verdict, approval, epoch, sequence */
chan g2l = [2] of { mtype, byte, byte, byte };     /* APPEND kind, request, ref, sequence */
chan l2v = [2] of { byte, byte };                  /* acknowledged sequence, index; NOREC: refused */
chan l2g = [2] of { byte, byte };
chan i2l = [1] of { mtype, byte, byte, byte };     /* APPEND kind, request (of a forged one), epoch, sequence */
chan l2i = [1] of { byte, byte };
chan i2g = [1] of { byte };                        /* PROPOSE the index of the incident */
chan p2g = [1] of { mtype };

byte crashes = CR, tmo = TM, evil = EVIL, roll = ROLL;
byte vgen = 0, igen = 0, inc = 0, deaths = DEATHS;   /* the epochs of the gate and of immune; the incarnation */
bool iwait = false;                          /* immune waits for the answer to its proposal */
byte proposed = 0;
/* ghosts: heard, somebody was told that it is denied; given, a person's yes reached Guardian */
byte acted[PR+1], used[PR+1]; bool must[PR+1], heard[PR+1], given[PR+1];

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
byte gst = 0, cur = 0, gseq = 0, gks = 0, gref = 0, ghigh = 0, minted = 0; mtype gk = 0;
byte gno = 0, gnor = 0;                      /* a denial on its way to the ledger: its sequence and request */
bool gaway = false, gasks = false;            /* the ledger, the gate is another one since Guardian spoke to it */
bool ginit = true, late = false, gdead = false, stopped = false, listed[PR+1];

/* ---- gate */
byte vst = 0;                                /* 1: an append is not acknowledged */
byte vr = 0, va = 0, vseq = 0, vhigh = 0; mtype vv = 0;
bool vaway = false, vinit = true, vdead = false;            /* vdead: the ledger came back shorter */
bool vfail = false; byte res[PR+1];           /* the ledger said that it failed; what counts in the gate's budgets */

/* ---- immune's state */
#define I_SIGNAL 0
#define I_ANOMALY 1
#define I_OPENED 2
#define I_PLAN 3
byte ist = I_SIGNAL, iseq = 0, iref = NOREC; bool iaway = false, iinit = true;

/* ---- ledger: appends are durable, then acknowledged; kill -9 in between loses the acknowledgement and what was on the way */
byte pa_v = 0, pix_v = 0, pa_g = 0, pix_g = 0, pa_i = 0, pix_i = 0;

inline store(kk, rr, vv, aa, ff) {
  assert(n < MAXL); L[n].k = kk; L[n].req = rr; L[n].v = vv; L[n].ref = ff; n++;
  if
  :: kk == DEC ->
       HOLDS(ON_RECORD, reqi[rr] == NOREC -> ninc > 0 : L[reqi[rr]].k == INCI);
       if
       :: vv == ASK -> ask[rr] = n; nask[rr]++; askrev[rr] = rev
       :: vv == DENY -> fin[rr] = n; nfin[rr]++
       :: vv == ALLOW -> fin[rr] = n; nfin[rr]++;
            /* an allow stands behind a vote that a person gave; a void approval is not used */
            HOLDS(P7, app[aa] > 0 && voi[aa] == 0 && (given[aa] || !EVIL));
            HOLDS(SAME_POLICY, askrev[aa] == rev);
            used[aa]++; HOLDS(P2, used[aa] == 1)
       fi
  :: kk == APP -> app[rr] = n
  :: kk == DNY -> den[rr] = n
  :: kk == ANO -> skip
  :: kk == INCI -> ninc++; if :: ninc == 1 -> incix = n - 1 :: else -> skip fi; HOLDS(ONE_INCIDENT, ninc == 1)
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
  :: atomic { pa_i == 0 && nempty(i2l) ->
ledger_append_immune: i2l?k,r,e,s;
       if
#ifndef NO_IDEM
       :: e == ep_i && s <= hw_i -> pix_i = ix_i
       :: !(e == ep_i && s <= hw_i) ->
#else
       :: true ->
#endif
#ifndef NO_RIGHTS
          if :: k != ANO && k != INCI -> pix_i = NOREC     /* only anomalies and incidents are immune's to write */
             :: else -> store(k, r, NONE, 0, 0); pix_i = n - 1 fi;
#else
          store(k, r, ALLOW, r, 0); pix_i = n - 1;
#endif
          if :: e >= ep_i -> ep_i = e; hw_i = s; ix_i = pix_i :: else -> skip fi
       fi;
       if :: e == igen -> pa_i = s :: else -> pix_i = 0 fi; k = 0; r = 0; e = 0; s = 0 }
  :: atomic { pa_i != 0 && nfull(l2i) ->
ledger_ack_immune: l2i!pa_i,pix_i; pa_i = 0; pix_i = 0 }
  :: atomic { crashes > 0 -> crashes--; pa_v = 0; pa_g = 0; pa_i = 0; pix_v = 0; pix_g = 0; pix_i = 0;
       drop6(v2l); drop4(g2l); drop4(i2l); drop2(l2v); drop2(l2g); drop2(l2i);
       gaway = true; vaway = true; iaway = (ist != I_PLAN);
       if
       /* the log is put back behind our backs: what follows the vote is gone */
       :: roll > 0 && n > 4 && fin[1] == 5 && app[1] == 4 && hw_g >= 1 -> roll--;
            do :: n > 4 -> n--; L[n].k = 0; L[n].req = 0; L[n].v = 0; L[n].ref = 0 :: else -> break od;
            fin[1] = 0; nfin[1] = 0; nint[1] = 0; nact[1] = 0; used[1] = 0; hw_v = 0; hw_g = 1; ix_g = 3;
            ask[PR] = (PR == 1 -> ask[1] : 0); nask[PR] = (PR == 1 -> nask[1] : 0); app[PR] = (PR == 1 -> 4 : 0);
            fin[PR] = 0; nfin[PR] = 0; nint[PR] = 0; nact[PR] = 0; voi[PR] = 0; used[PR] = 0
#if LFAIL
       :: vinit -> vfail = true                                /* it says that its disk failed: the gate hears of it */
#endif
       :: true -> skip
       fi }
  od }

/* ---- the gate */
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
inline decide(rr, vd, aa) { vseq++; vst = 1; vr = rr; vv = vd; va = aa; vaway = false; v2l!DEC,rr,vd,aa,vgen,vseq;
  if :: LFAIL && vd == ALLOW -> res[rr]++ :: else -> skip fi }   /* reserved when it is evaluated */
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
#ifndef NO_DENIED  /* a question that was denied stays closed, whatever vote comes behind it, whoever starts again */
#define REFUSED(x) (den[x] > 0)
#else
#define REFUSED(x) false
#endif
#ifndef NO_REVISION /* another revision voids the approval */
#define OF_OLD(x) (askrev[x] != rev)
#else
#define OF_OLD(x) false
#endif
#define YES(x) (UNUSED(x) && VOTED(x) && !(REFUSED(x)) && voi[x] == 0)
#define WAITING(x) (app[x] > 0 && fin[x] == 0 && !(REFUSED(x)) && voi[x] == 0)
inline gate_ends() { vst = 0; vinit = false; vdead = false; vfail = false; vhigh = 0; vgen++; gasks = true; vr = 0; va = 0; vv = 0; r = 0; s = 0; x = 0; m = 0;
       drop2(g2v); drop3(v2g); drop2(l2v); pa_v = 0; pix_v = 0; res[1] = 0; res[PR] = 0 }
inline fold_reserved() {
#if LFAIL
  res[1] = (fin[1] > 0 && L[fin[1]-1].v == ALLOW); res[PR] = (fin[PR] > 0 && L[fin[PR]-1].v == ALLOW)
#else
  skip
#endif
}
proctype Gate() { byte r, s, x; mtype m;
  do
  :: atomic { vst == 0 && vinit && V_OK && !vfail && nfull(v2l) && nfull(v2g) && g2v?[DECIDE,_] ->
gate_decide: g2v?m,r;
       if
#ifndef NO_DEDUP
       :: fin[r] > 0 -> v2g!r,L[fin[r]-1].v,fin[r]-1
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
  :: atomic { vst == 0 && vinit && V_OK && !vfail && nfull(v2l) && nfull(v2g) && g2v?[ANSWERED,_] ->
gate_answered: g2v?m,r;
       if
       :: fin[r] > 0 && !(UNUSED(r)) -> v2g!r,L[fin[r]-1].v,fin[r]-1
       :: fin[r] == 0 && REFUSED(r) && voi[r] == 0 -> decide(r, DENY, r)  /* also when the word is that it was approved */
       :: YES(r) && fin[r] == 0 && OF_OLD(r) -> decide(r, DENY, r)
#ifndef NO_ALLOW2
       :: YES(r) && !(OF_OLD(r)) -> decide(r, ALLOW, r)
#else
       :: YES(r) && !(OF_OLD(r)) -> v2g!r,ALLOW,ask[r]-1    /* the question itself turns into a yes */
#endif
       :: else -> skip
       fi; r = 0; m = 0 }
#if !defined(NO_TAKEUP) && !defined(NO_ALLOW2)
  /* a gate that starts finds answered approvals itself */
  :: atomic { vst == 0 && vinit && V_OK && !vfail && nfull(v2l) && WAITING(1) ->
gate_take_up: skip; if :: OF_OLD(1) -> decide(1, DENY, 1) :: else -> decide(1, ALLOW, 1) fi }
  :: atomic { vst == 0 && vinit && V_OK && !vfail && nfull(v2l) && WAITING(PR) ->
       if :: OF_OLD(PR) -> decide(PR, DENY, PR) :: else -> decide(PR, ALLOW, PR) fi }
#endif
  :: atomic { nempty(l2v) && nfull(v2g) ->
gate_ack: l2v?s,x;
       if :: vst == 1 && s == vseq -> vst = 0;
#if ROLL
             if :: x > vhigh && x != NOREC -> vhigh = x :: else -> skip fi;
#else
             if :: len(v2l) == 0 && len(l2v) == 0 && pa_v == 0 -> vseq = 0; hw_v = 0; ix_v = 0 :: else -> skip fi;
#endif

             if :: x != NOREC -> v2g!vr,vv,x :: else -> skip fi
          :: else -> skip fi; s = 0; x = 0 }
#ifndef NO_RESEND
  :: atomic { vinit && !vfail && vaway && nfull(v2l) ->
gate_reattach: vaway = false; drop2(l2v);
       if :: vhigh >= n && n > 0 -> vdead = true :: else -> skip fi;
       if :: vst == 1 && V_OK -> v2l!DEC,vr,vv,va,vgen,vseq :: else -> skip fi }
#endif
#if POLICY
  :: atomic { vst == 0 && vinit && rev < POLICY -> rev++ }
#endif
#if EVIL
  :: atomic { evil > 0 && gst == 1 && nfull(v2g) && n > 0 -> evil--; select(x : 0 .. 4); v2g!cur,ALLOW,x; x = 0 }    /* an allow that is not on record */
  :: atomic { evil > 0 && vst == 0 && vinit && nfull(v2l) && cur > 0 && ask[cur] > 0 -> evil--; vseq++; v2l!APP,cur,NONE,0,vgen,vseq }  /* an invented vote */
#endif
  :: atomic { crashes > 0 && vinit -> crashes--; gate_ends() }
#if LFAIL
  /* what it has reserved and nobody acknowledged is void, so it ends: its successor knows what is on record */
#ifndef NO_FAILEND
  :: atomic { vfail && vinit ->
gate_ledger_failed: skip; gate_ends() }
#else
  :: atomic { vfail && vinit -> vfail = false; vst = 0; vaway = false; drop2(l2v) }
#endif
#endif
  :: atomic { !vinit && V_FENCED ->
gate_start: vinit = true; vseq = 0; vaway = false; fold_reserved();
#ifndef NO_FENCE
       vgen = 0; ep_v = 0; hw_v = 0; ix_v = 0   /* nothing of an earlier epoch can come any more: it need not be told from this one */
#endif
       }
  od }

/* ---- Guardian */
/* Numbers begin again when nothing is on its way, which keeps the states few. The log that is put back needs them. */
#if ROLL
#define G_RENUMBER skip
#else
#define G_RENUMBER gseq = 0; gks = 0; hw_g = 0; ix_g = 0
#endif
/* Two records can be on their way: a vote of either kind, and what follows it. Both are sent again before a third is written. */
#define G_ATTACHED ((gno == 0 && gst != G_VOTE) || !gaway)
inline put(kk) { gseq++; gks = gseq; gk = kk; gaway = false; g2l!kk,cur,gref,gseq }
inline over() { gst = G_IDLE; cur = 0; gref = 0; late = false; stopped = false; gk = 0; gks = 0 }
inline answer() { iwait = false }
#ifndef NO_ROLLBACK
#define G_OK !gdead
#else
#define G_OK true
#endif
#if DENIALS
#define HEARD heard[cur] = true
#else
#define HEARD skip
#endif
#if EVIL
#define GIVEN given[cur] = true
#else
#define GIVEN skip
#endif
inline run_it() {
       HOLDS(P4, !paused);
       HOLDS(P4, !late);
       HOLDS(P3, inc == reqinc[cur]);
       HOLDS(P1, L[gref].k == DEC && L[gref].v == ALLOW);   /* a durable allow */
       HOLDS(P1, L[gref].req == cur);                       /* its own */
       HOLDS(DENIED_RESTS, den[cur] == 0 && !heard[cur]);
       HOLDS(P7, nint[cur] == 1);                           /* behind its durable intent */
       acted[cur]++; HOLDS(P2, acted[cur] == 1);
#ifdef REACH
       HOLDS(P1, cur < PR || (DENIALS && den[1] == 0));      /* the control: the last request can be acted on, also behind a denial */
#endif
       inc++; gst = G_ACT }
inline immune_ends() { iinit = false; ist = I_SIGNAL; iref = NOREC; iwait = false; igen++; iseq = 0; drop1(i2g); drop2(l2i); pa_i = 0; pix_i = 0 }
proctype Guardian() { byte r, d, s, x; mtype v, m; bool ok;
  do
  :: atomic { ginit && nempty(i2g) && nfull(g2v) ->
guardian_propose: i2g?x;
       if :: gst == G_IDLE && minted < PR && !paused && G_OK && !listed[1] ->
              minted++; cur = minted; reqinc[cur] = inc; reqi[cur] = x; gst = G_DECIDE; gasks = false; late = false; g2v!DECIDE,cur
          :: else -> answer() fi; x = 0 }                    /* refused: paused, or one is open on that target */
#ifndef NO_REASK
  :: atomic { (gst == G_DECIDE || gst == G_REDECIDE) && gasks && vinit && nfull(g2v) ->
guardian_gate_attached: gasks = false; if :: gst == G_DECIDE -> g2v!DECIDE,cur :: else -> g2v!ANSWERED,cur fi }
#endif
  :: atomic { tmo > 0 && (gst == G_DECIDE || gst == G_REDECIDE) ->
guardian_use_by: tmo--; answer(); over() }                   /* governance_unavailable */
  :: atomic { tmo > 0 && gst == G_INTENT && !late ->
guardian_late: tmo--; late = true }
  :: atomic { nempty(v2g) && nfull(g2l) && G_ATTACHED ->
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
       :: cur > 0 && r == cur && v == DENY && (gst == G_DECIDE || gst == G_REDECIDE) -> HEARD; answer(); over()
       :: else -> skip                                       /* late, or none of ours: counted */
       fi; r = 0; v = 0; d = 0 }
  :: atomic { ginit && nempty(p2g) && nfull(g2l) && nfull(g2v) && G_ATTACHED ->
guardian_person: p2g?v;
       if
       :: v == PAUSE -> paused = true                         /* acknowledged: no act after this */
       :: v == VOTE && gst == G_ASKED && (
#ifndef NO_VOID
            inc == reqinc[cur] &&
#endif
            true) -> HOLDS(NOT_STALE, inc == reqinc[cur]);
            gref = ask[cur] - 1; GIVEN;
#ifndef NO_VOTEDUR
            gst = G_VOTE; put(APP)
#else
            gst = G_REDECIDE; put(APP); gasks = false; g2v!ANSWERED,cur
#endif
       :: v == NO && gno == 0 && (gst == G_ASKED || gst == G_VOTE) && inc == reqinc[cur] ->
            gseq++; gno = gseq; gnor = cur; gaway = false; g2l!DNY,cur,ask[cur]-1,gseq;
#ifdef NO_DENYDUR
            HEARD; g2v!ANSWERED,cur; answer(); over()   /* the gate and who asked hear of it before it is durable */
#endif
       :: else -> skip
       fi; v = 0 }
#ifndef NO_VOID
  :: atomic { gst == G_ASKED && inc != reqinc[cur] && nfull(g2l) && G_ATTACHED ->
guardian_target_gone: gref = ask[cur] - 1; gst = G_VOID; put(VOI) }
#endif
  :: atomic { nempty(l2g) && nfull(g2v) ->
guardian_ack: l2g?s,x;
#if ROLL
       if :: x != NOREC && x > ghigh -> ghigh = x :: else -> skip fi;
#endif
       m = 0; if :: s == gks && s != gno -> m = gk :: else -> skip fi;
       if :: len(g2l) == 0 && len(l2g) == 0 && pa_g == 0 -> G_RENUMBER :: else -> skip fi;
       if
       /* a denial is durable. Who asked and the gate hear of it; behind a vote for it, and up to the act, it still counts */
       :: s == gno && s > 0 ->
            if
            :: gnor == cur && (gst == G_ASKED || gst == G_VOTE) -> HEARD; g2v!ANSWERED,cur; answer(); over()
#ifndef NO_DENYLAST
            :: gnor == cur && gst == G_REDECIDE -> HEARD; g2v!ANSWERED,cur; answer(); over()
            :: gnor == cur && gst == G_INTENT -> HEARD; stopped = true
#endif
            :: else -> skip
            fi; gno = 0; gnor = 0
       :: m != 0 && gst == G_VOTE && x != NOREC -> gst = G_REDECIDE; gasks = false; g2v!ANSWERED,cur
       :: m != 0 && gst == G_VOID -> answer(); over()
       :: m != 0 && gst == G_RECORD -> answer(); over()
       :: m != 0 && gst == G_INTENT && x == NOREC -> answer(); over()   /* the ledger refused the intent */
       :: m != 0 && gst == G_INTENT && x != NOREC ->
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
            if :: stopped -> ok = false :: else -> skip fi;
#ifndef NO_TURN
            if :: ok -> run_it() :: else -> gst = G_ACT fi
#else
            if :: ok -> gst = G_CHECKED :: else -> gst = G_ACT fi
#endif
       :: else -> skip
       fi; s = 0; x = 0; m = 0; ok = false }
#ifdef NO_TURN
  :: atomic { gst == G_CHECKED -> run_it() }
#endif
  :: atomic { gst == G_ACT && nfull(g2l) ->
guardian_result: gst = G_RECORD; put(ACT) }
#ifndef NO_RESEND
  :: atomic { ginit && gaway && nfull(g2l) ->
guardian_reattach: gaway = false; drop2(l2g);
       if :: ghigh >= n && n > 0 -> gdead = true :: else -> skip fi;
       if :: G_OK && gno > 0 && gno < gks -> g2l!DNY,gnor,ask[gnor]-1,gno :: else -> skip fi;
       if :: G_OK && (gst == G_VOTE || gst == G_VOID || gst == G_INTENT || gst == G_RECORD) -> g2l!gk,cur,gref,gks
          :: !(G_OK) && gst != G_IDLE -> answer(); over()
          :: else -> skip fi;
       if :: G_OK && gno > gks -> g2l!DNY,gnor,ask[gnor]-1,gno :: else -> skip fi }
#endif
  /* kill -9 of Guardian ends everything: the parts see their pipes end. What was on its way is lost or was durable before */
  :: atomic { crashes > 0 && ginit -> crashes--; ginit = false; over(); gdead = false; listed[1] = false; listed[PR] = false; ghigh = 0; gno = 0; gnor = 0;
       drop1(p2g); drop2(l2g); drop4(g2l); drop6(v2l); drop4(i2l); pa_g = 0; pix_g = 0; vaway = true; gate_ends(); immune_ends(); d = 0; v = 0; ok = false }
  :: atomic { !ginit && vinit && nfull(g2v) && nfull(g2l) ->
guardian_start: ginit = true; gseq = hw_g; gaway = false; gasks = false; G_RENUMBER;
       /* what an earlier Guardian left open: an intent is closed; what the gate lists of answered and unanswered questions is registered again */
       r = 1;
       do
       :: r <= PR ->
            must[r] = (nint[r] == 0 && fin[r] == 0 && ask[r] > 0 && !(REFUSED(r)) && voi[r] == 0);
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
            :: nint[r] == 0 && fin[r] == 0 && ask[r] > 0 && !(REFUSED(r)) && voi[r] == 0 -> listed[r] = true
#endif
            :: else -> skip
            fi; r++
       :: else -> break
       od; r = 0 }
#ifndef NO_LIST
  :: atomic { ginit && gst == G_IDLE && vinit && listed[1] && nfull(g2v) ->
guardian_register: listed[1] = false;
       if :: fin[1] > 0 || voi[1] > 0 -> skip
          :: fin[1] == 0 && voi[1] == 0 -> cur = 1; if :: app[1] > 0 -> gst = G_REDECIDE; gasks = false; g2v!ANSWERED,1
                :: app[1] == 0 -> gst = G_ASKED fi fi }
  :: atomic { ginit && gst == G_IDLE && vinit && listed[PR] && nfull(g2v) -> listed[PR] = false;
       if :: fin[PR] > 0 || voi[PR] > 0 -> skip
          :: fin[PR] == 0 && voi[PR] == 0 -> cur = PR; if :: app[PR] > 0 -> gst = G_REDECIDE; gasks = false; g2v!ANSWERED,PR
                :: app[PR] == 0 -> gst = G_ASKED fi fi }
#endif
  od }

/* ---- immune: anomaly, then incident, each acknowledged; then the same proposal again when its link ended without an answer */
#ifndef NO_INCDUR
#define I_MAY (ist == I_PLAN)
#else
#define I_MAY (ist == I_OPENED || ist == I_PLAN)
#endif
#if EVIL || defined(NO_FENCE)
#define I_RENUMBER skip
#else
#define I_RENUMBER iseq = 0; igen = 0; ep_i = 0; hw_i = 0; ix_i = 0   /* nothing more is written, or nothing of an earlier epoch can come any more */
#endif
#ifndef NO_FENCE
#define I_FENCED (len(i2l) == 0)
#else
#define I_FENCED true
#endif
proctype Immune() { byte s, x;
  do
  :: atomic { iinit && ist == I_SIGNAL && nfull(i2l) ->
immune_anomaly: ist = I_ANOMALY; iseq++; iaway = false; i2l!ANO,0,igen,iseq }
  :: atomic { nempty(l2i) && nfull(i2l) ->
immune_ack: l2i?s,x;
       if
       :: s == iseq && x != NOREC && ist == I_ANOMALY -> ist = I_OPENED; iseq++; i2l!INCI,0,igen,iseq
       :: s == iseq && x != NOREC && ist == I_OPENED -> ist = I_PLAN; iref = x; I_RENUMBER
       :: else -> skip
       fi; s = 0; x = 0 }
#ifndef NO_RESEND
  :: atomic { iinit && iaway && nfull(i2l) ->
immune_reattach: iaway = false; drop2(l2i);
       if :: ist == I_ANOMALY -> i2l!ANO,0,igen,iseq :: ist == I_OPENED -> i2l!INCI,0,igen,iseq :: else -> skip fi }
#endif
  :: atomic { proposed < PR && !iwait && iinit && ginit && I_MAY && nfull(i2g) ->
immune_propose: i2g!iref; iwait = true; proposed++ }
#if EVIL
  :: atomic { evil > 0 && ist == I_PLAN && nfull(i2l) && cur > 0 -> evil--; iseq++; i2l!DEC,cur,igen,iseq }   /* a decision of its own */
#endif
  :: atomic { crashes > 0 && iinit && (iwait || ist == I_ANOMALY || ist == I_OPENED) -> crashes--; immune_ends(); s = 0; x = 0 }
  :: atomic { !iinit && ginit && I_FENCED ->
immune_start: iinit = true; iaway = false; I_RENUMBER;
#ifndef NO_INCFOLD
       if :: ninc > 0 -> ist = I_PLAN; iref = incix :: else -> skip fi    /* what is on record is taken up, not opened again */
#endif
       }
  od }

proctype Person() { byte votes = 0;
  do
  :: atomic { votes < 2 && ginit && nfull(p2g) && (gst == G_ASKED || (DENIALS && gst == G_VOTE)) -> votes++; p2g!VOTE }
#if DENIALS
  :: atomic { votes < 2 && ginit && nfull(p2g) && (gst == G_ASKED || gst == G_VOTE) -> votes++; p2g!NO }
#endif
#if PAUSES
  :: atomic { ginit && nfull(p2g) && !paused -> p2g!PAUSE; break }
#endif
  :: break
  od }

proctype Unit() {
  do
  :: atomic { deaths > 0 -> deaths--; inc++; if :: deaths == 0 -> break :: else -> skip fi }
  :: break
  od }

/* ---- when nothing moves any more */
proctype Audit() { byte r;
  atomic { timeout ->
    HOLDS(P10, !iwait || gst == G_ASKED || gdead || vdead);        /* a person may never come */
    HOLDS(HEALED, proposed > 0);
    for (r : 1 .. PR) {
      HOLDS(P5, nask[r] <= 1 && nfin[r] <= 1);
      HOLDS(P8, nint[r] <= 1 && nact[r] <= 1);
      HOLDS(P6, nact[r] >= nint[r] || gdead);
      HOLDS(P9, !LFAIL || res[r] == (fin[r] > 0 && L[fin[r]-1].v == ALLOW));
      HOLDS(OUTLIVES, !must[r] || fin[r] > 0 || den[r] > 0 || voi[r] > 0 || cur == r || listed[r] || vdead || gdead);
      HOLDS(ANSWERED_JUDGED, app[r] == 0 || fin[r] > 0 || den[r] > 0 || voi[r] > 0 || vdead || gdead);
    } } }

init { atomic {
#if !IMMUNE
  L[0].k = ANO; L[1].k = INCI; n = 2; ninc = 1; incix = 1; hw_i = 2; ix_i = 1; ist = I_PLAN; iseq = 2; iref = 1;
#endif
  run Ledger(); run Gate(); run Guardian(); run Immune(); run Person(); run Unit(); run Audit() } }
