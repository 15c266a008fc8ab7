"""What the examples of the audits print. Written by tools/generate.py; edit the examples."""

from __future__ import annotations

SHOWN: dict[str, str] = {
    "DATA-03": (
        "fail | 64 of 293,917 rows were lost, 50 of them declared: +14 unexplained\n"
        "pass | 20 of 8,155 rows were lost, 20 of them declared\n"
    ),
    "DATA-04": (
        "fail | the filter keeps 10.0% of 1,000 rows; positive 100.0% inside, 0.0% outside: the "
        "label is a function of the filter\n"
        "pass | the filter keeps 80.0% of 1,000 rows; positive 28.5% inside, 29.0% outside\n"
    ),
    "DATA-05": (
        "fail | 100 of 100 values arrived after the decision, by up to 1.0 minutes\n"
        "pass | all 100 values had arrived\n"
    ),
    "DATA-06": (
        "fail | 6 of 600 cells are no finite number, first `column 0` of live; the share of `column"
        " 0` differs by more than a point between parts\n"
        "pass | all 450 cells of 2 parts are finite\n"
    ),
    "DATA-07": (
        "fail | 100 of 300 test rows (33.3%) stand among the 800 train rows too\n"
        "pass | 0 of 200 test rows (0.0%) stand among the 800 train rows too\n"
    ),
    "DATA-08": (
        "fail | 600 labels are worth 51 independent ones, 10 of them positive; thin: 51 effective "
        "labels\n"
        "pass | 4,000 labels are worth 2,001 independent ones, 400 of them positive\n"
    ),
    "LAB-04": (
        "fail | no evidence that any of 4 labels can be learned: best AUC 0.510\n"
        "pass | 3 of 4 cells beat 0.5: best AUC 0.550, Holm p 1.1e-06\n"
    ),
    "LAB-05": (
        "fail | the label asks for 0.050%, a round trip costs 0.100%\n"
        "pass | the label asks for 0.400%, a round trip costs 0.100%\n"
    ),
    "LAB-06": (
        "fail | the label goes with the return of bar +0 (+0.796), its own bars at most 0.004\n"
        "pass | the label goes with its own bars (0.797), with earlier ones at most 0.045 (noise "
        "0.089)\n"
    ),
    "LAB-07": (
        "fail | the most telling of 2 features, `tomorrow`, has an AUC of 1.000 alone\n"
        "pass | the most telling of 2 features, `hint`, has an AUC of 0.538 alone\n"
    ),
    "LAB-08": (
        "warn | the share of a class changes by month: up to 60.0% apart in 12 groups, Holm p "
        "6.5e-33\n"
        "pass | the share of a class holds by month: up to 1.0% apart in 12 groups, Holm p 1\n"
    ),
    "SPL-03": (
        "fail | training goes on 2 bars after the test of fold 0; labels reach 4, features 2 bars\n"
        "pass | training goes on 10 bars after the test of fold 0; labels reach 4, features 2 bars\n"
    ),
    "SPL-04": (
        "fail | the scaler is that of all rows (distance 0), not of train rows (0.33)\n"
        "pass | the scaler is that of 200 train rows (distance 0, to all rows 0.3)\n"
    ),
    "SPL-05": (
        "fail | thresholds chosen on test rows, which are reported\n"
        "pass | none of 2 choices was made on test rows\n"
    ),
    "SPL-06": (
        "fail | 100 claimed observations are worth 20.8 independent ones: each bar is used 4.8 "
        "times\n"
        "pass | 100 claimed observations are worth 100.0 independent ones: each bar is used 1.0 "
        "times\n"
    ),
    "SPL-08": (
        "fail | `column 0` at bar 0 moves when the bars after 20 are scaled\n"
        "pass | 1 column stay when later bars are replaced after 62 bars of 300\n"
    ),
    "SPL-09": (
        "fail | 1 column differ with 60 bars: `ema(20)` by 5.5e-05, needs at most 120 bars\n"
        "pass | a window of 400 bars gives 1 column within 2e-16 at 10 bars\n"
    ),
    "SPL-10": (
        "warn | a bar later the Sharpe ratio loses 91% and the mean 91%\n"
        "pass | a bar later the Sharpe ratio loses 12% and the mean 12%\n"
    ),
    "SPL-11": (
        "fail | the pipeline learns from noise: mean AUC 0.549 on 99 permutations\n"
        "pass | AUC 0.580 against 0.499 on 99 permutations: p 0.010\n"
    ),
    "SPL-12": (
        "warn | train and test rows are told apart with an AUC of 0.972; most telling alone: `time`"
        " (1.000)\n"
        "pass | train and test rows are told apart with an AUC of 0.557; most telling alone: "
        "`column 0` (0.513)\n"
    ),
    "PAR-02": (
        "fail | 3 of 3 features differ, most `column 0` in 100.0% of 400 rows (row 0: 0.345584 and "
        "-1.62381)\n"
        "pass | 3 features the same in 400 rows, no decision flips\n"
    ),
    "PAR-03": (
        "fail | the largest input is 8.154e+04 (`column 2`), deviations differ by a factor of 500; "
        "67% of 3 features standardised\n"
        "pass | the largest input is 3.954 (`column 2`), deviations differ by a factor of 1; 100% "
        "of 3 features standardised\n"
    ),
    "PAR-04": (
        "fail | 99% of first-layer activations are below 1.273e+04 (largest 1.273e+04); largest "
        "term 1.273e+04 of `column 2`; 50% of units never fire\n"
        "pass | 99% of first-layer activations are below 0.7641 (largest 0.9728); largest term "
        "0.1274 of `column 2`; 0% of units never fire\n"
    ),
    "PAR-05": (
        "fail | the scaler is applied not at all\n"
        "pass | a scaler of 3 features is fitted and applied once\n"
    ),
    "PAR-06": (
        "fail | 1 of 2 features drift; most `column 1`: PSI 0.613 (chance up to 0.035), D 0.305\n"
        "pass | 0 of 2 features drift; most `column 1`: PSI 0.023 (chance up to 0.035), D 0.037\n"
    ),
    "PAR-07": (
        "warn | 5 features: 1 constant, 1 equal pair; first `column 4`\n"
        "pass | 3 features: 0 constant, 0 equal pairs\n"
    ),
    "PAR-08": (
        "fail | channel 1 is not `WLD`: correlation -0.055; channel 2 has 1.000\n"
        "pass | 2 channels hold the series they are named after\n"
    ),
    "CKP-01": (
        "fail | stored 0.009572, recomputed 0.030852: ratio 3.223\n"
        "pass | stored 0.009572, recomputed 0.0095721: ratio 1\n"
    ),
    "CKP-02": (
        "fail | none of 3 readings gives 0.0171: nearest `20 of WLD` with 0.0121\n"
        "pass | `20 of WLD, shift 1` alone of 3 readings gives 0.009572\n"
    ),
    "CKP-03": (
        "fail | 61,680 parameters in 2 tensors: 2 differences, first `fc.weight` (another shape)\n"
        "pass | 5,140 parameters in 2 tensors, all as described\n"
    ),
    "CKP-04": (
        "warn | train 0.13013, validation 0.009572: 13.6 times lower\n"
        "pass | train 0.13, validation 0.141: 1.08 times as high\n"
    ),
    "CKP-05": (
        "fail | the bundle lacks scaler, label, self_test\n"
        "pass | the bundle holds all of 14 entries\n"
    ),
    "CKP-06": (
        "fail | 2 of 42 decisions were not made by the claimed model, first by 17aa\n"
        "pass | all 42 decisions were made by 9f2c\n"
    ),
    "CKP-07": (
        "fail | `batch 1` differs by 0.01 (allowed 1e-06), 0 decisions flip\n"
        "pass | 2 variants agree; most `fp16` differs by 0.001 (allowed 5e-03), 0 decisions flip\n"
    ),
    "PRED-02": (
        "fail | the largest logit is 4.862e+04, the largest gap 5.958e+04; a gap of 4.6 is 99%\n"
        "pass | the largest logit is 3.1, the largest gap 3.799; a gap of 4.6 is 99%\n"
    ),
    "PRED-03": (
        "fail | 67.5% of 200 forecasts are above 99%, 32.5% between 50 and 90%\n"
        "pass | 0.0% of 200 forecasts are above 99%, 100.0% between 50 and 90%\n"
    ),
    "PRED-06": (
        "fail | no skill: log loss under the base rate's -0.3486 [-0.4224, -0.2865], accuracy 48.9%"
        " (majority 50.3%) in 1,000 rows\n"
        "pass | skill: log loss under the base rate's +0.1673 [+0.1452, +0.1894], accuracy 74.5% "
        "(majority 50.3%) in 1,000 rows\n"
    ),
    "PRED-07": (
        "fail | 41.2% of 500 directions right (chance 50.0%), correlation -0.251: significantly "
        "below chance\n"
        "pass | 58.8% of 500 directions right (chance 50.0%), correlation +0.251\n"
    ),
    "PRED-08": (
        "fail | `target +1` fits better than declared: correlation 0.251 against 0.012\n"
        "pass | no alignment beats the declared one by 3 errors: correlation 0.251, best 0.251\n"
    ),
    "PRED-09": (
        "fail | R2 0.81 exceeds the squared correlation 0.5184\n"
        "pass | 2 relations between metrics hold\n"
    ),
    "PRED-10": (
        "fail | forecasts vary 3 times as much as the target; 26.2% lie outside of its range\n"
        "pass | forecasts vary 0.2 times as much as the target; 0.0% lie outside of its range\n"
    ),
    "PRED-11": (
        "fail | permuting a feature moves predictions by at most 0 (most `column 0`); 3 of 3 "
        "features move none\n"
        "pass | permuting a feature moves predictions by at most 0.73 (most `column 0`); 2 of 3 "
        "features move none\n"
    ),
    "PRED-12": (
        "fail | loss 0.7297 against 0.6931 of the constant 0.503: gain -0.0366 [-0.0504, -0.0232]\n"
        "pass | loss 0.5258 against 0.6931 of the constant 0.503: gain +0.1673 [+0.1478, +0.1865]\n"
    ),
    "PRED-13": (
        "warn | forecasts change sides in 49.6% of bars, the target in 2.3%; smoothing costs -0.078"
        " of AUC\n"
        "pass | forecasts change sides in 2.3% of bars, the target in 2.3%; smoothing costs +0.004 "
        "of AUC\n"
    ),
    "PRED-14": (
        "fail | mean 0.2545 over 11 sequences, median -0.1, 55% below 0; without the best one -0.12\n"
        "pass | mean 0.18 over 10 sequences, median 0.2, 20% below 0\n"
    ),
    "CAL-01": (
        "fail | calibration error 0.1533 in 10 bins, 0.0198 of it by chance alone: excess +0.1335\n"
        "pass | calibration error 0.0309 in 10 bins, 0.0255 of it by chance alone: excess +0.0054\n"
    ),
    "CAL-02": (
        "warn | Brier skill -0.3283, log skill -0.4400 over the base rate 0.520; gain in Brier "
        "-0.08195 [-0.09509, -0.06903]\n"
        "pass | Brier skill +0.1591, log skill +0.1222 over the base rate 0.520; gain in Brier "
        "+0.03971 [+0.03163, +0.04756]\n"
    ),
    "CAL-03": (
        "fail | Spiegelhalter's z is +17.29 (p 5.2e-67) in 2,000 rows\n"
        "pass | Spiegelhalter's z is +0.97 (p 0.33) in 2,000 rows\n"
    ),
    "CAL-04": (
        "warn | 8 of 10 bins lie outside of their bars; farthest: 0.996 came true in 0.765 of 200\n"
        "pass | 0 of 10 bins lie outside of their bars; farthest: 0.333 came true in 0.390 of 200\n"
    ),
    "CAL-05": (
        "fail | the logits need a temperature of 1.683e+05: log loss 3.184e+04 to 0.6074\n"
        "pass | the logits need a temperature of 1.065: log loss 0.6077 to 0.6074\n"
    ),
    "CAL-06": (
        "fail | of 385 rows at or above 0.7 80.8% came true [76.5%, 84.4%], the model says 95.0%\n"
        "pass | of 385 rows at or above 0.7 80.8% came true [76.5%, 84.4%], the model says 79.4%, "
        "break-even is 60.0%\n"
    ),
    "ECO-03": (
        "warn | the mean loss 1.100% is 2.20 times the mean win 0.500% [2.20, 2.20]: needs 68.8% "
        "wins, has 60.0%\n"
        "pass | the mean loss 0.800% is 0.80 times the mean win 1.000% [0.80, 0.80]: needs 44.4% "
        "wins, has 60.0%\n"
    ),
    "ECO-04": (
        "fail | the stop is not honoured: 3.0% was the risk, 5.0% the worst loss\n"
        "pass | a stop of 3.0% of balance at 4x with 100% of it lies 0.75% away\n"
    ),
    "ECO-05": (
        "fail | growth allows -25.5 times these positions, -54 times at the lower bound: no size is"
        " justified\n"
        "pass | growth allows 35 times these positions, 24 times at the lower bound: 0.04 of the "
        "bound is used\n"
    ),
    "ECO-06": (
        "fail | the edge is gone at a cost of 0.1179% a trade, 0.66 times the 0.1800% assumed\n"
        "pass | the edge is gone at a cost of 0.1179% a trade, 2.95 times the 0.0400% assumed\n"
    ),
    "ECO-07": (
        "fail | +39% trades, result 8.4 instead of 13.93: -0.398 for each trade added\n"
        "pass | +39% trades, result 17.2 instead of 13.93: +0.235 for each trade added\n"
    ),
    "ECO-08": (
        "fail | the largest drawdown is 87.5%, the account ends at 0.1438; resampled, 100.0% lose "
        "50% of a peak\n"
        "pass | the largest drawdown is 16.3%, the account ends at 1.75; resampled, 0.0% lose 50% "
        "of a peak\n"
    ),
    "ECO-10": (
        "warn | exits by `stop` (20% of trades) hold 97% of all losses; mean loss 3.000%, mean win "
        "0.500%\n"
        "pass | exits by `stop` (20% of trades) hold 50% of all losses; mean loss 0.400%, mean win "
        "0.500%\n"
    ),
    "ECO-11": (
        "fail | entries do significantly worse than random ones: -2.4 against a median of -0.001543"
        " in 500 draws, p 0.992\n"
        "pass | entries beat random ones: 2.4 against a median of -0.001543 in 500 draws, p 0.010\n"
    ),
    "ECO-12": (
        "warn | the best 3 trades made 100% of the profit; without, -0.176% of +42.634% are left\n"
        "pass | the best 3 trades made 8% of the profit; without, +107.879% of +116.863% are left\n"
    ),
    "ECO-13": (
        "warn | 13.0% of 100 trades had stop and target inside one bar\n"
        "pass | 2.0% of 100 trades had stop and target inside one bar\n"
    ),
    "ECO-14": (
        "fail | the entry model adds -0.2030% a period [-0.2250%, -0.1807%] in 300 periods\n"
        "pass | the exit model adds +0.1860% a period [+0.1608%, +0.2109%] in 300 periods\n"
    ),
    "SIG-01": (
        "warn | 60 independent observations can tell a win rate of 67.7% from 50%\n"
        "pass | 400 independent observations can tell a win rate of 57.0% from 50%\n"
    ),
    "SIG-03": (
        "fail | 40 of 100 or fewer have a chance of 0.0284 at 50.0%\n"
        "pass | 60 of 100 or more have a chance of 0.0284 at 50.0%\n"
    ),
    "SIG-04": (
        "fail | 3 trials cannot reject 50.0% whatever happens: 5 are needed\n"
        "pass | 1,000 trials show 55.0% against 50.0% with power 0.88; 783 are needed for 0.80\n"
    ),
    "SIG-05": (
        "fail | Sharpe ratio 0.2064 a period [0.1069, 0.3058] in 749 periods, 2.05 a year: claimed "
        "3.28\n"
        "pass | Sharpe ratio 0.1449 a period [0.0731, 0.2166] in 750 periods, 2.27 a year\n"
    ),
    "SIG-06": (
        "fail | the Sharpe ratio -0.1449 exceeds 0 with probability 0.000 (2012) and 0.000 (2025)\n"
        "pass | the Sharpe ratio 0.1449 exceeds 0 with probability 1.000 (2012) and 1.000 (2025)\n"
    ),
    "SIG-07": (
        "warn | 60 periods; a Sharpe ratio of 0.1751 needs 96 (0.4 years)\n"
        "pass | 750 periods; a Sharpe ratio of 0.1449 needs 133 (0.5 years)\n"
    ),
    "SIG-08": (
        "fail | mean -0.1418% a period [-0.2125%, -0.0721%], blocks of 1.0\n"
        "pass | mean +0.1418% a period [+0.0721%, +0.2125%], blocks of 1.0\n"
    ),
    "SIG-09": (
        "fail | 981 observations are worth 41 independent ones\n"
        "pass | 1,000 observations are worth 1,000 independent ones\n"
    ),
    "SIG-10": (
        "fail | the first earns -0.0735% a period more [-0.0874%, -0.0581%]; Sharpe ratios differ "
        "by -0.072 (p 2.9e-20) in 750 periods\n"
        "pass | the first earns +0.0735% a period more [+0.0581%, +0.0874%]; Sharpe ratios differ "
        "by +0.072 (p 2.9e-20) in 750 periods\n"
    ),
    "SIG-11": (
        "fail | mean trade -0.4489%, t -3.99 over 60 clusters (p 0.000183), n 300\n"
        "pass | mean trade +0.3511%, t +3.12 over 60 clusters (p 0.00276), n 300\n"
    ),
    "OVF-01": (
        "fail | 5 trials claimed, 312 in the ledger\n"
        "pass | 312 trials claimed, 312 in the ledger\n"
    ),
    "OVF-02": (
        "fail | the best of 1,000 trials has a Sharpe ratio of 0.0276, luck gives 0.1616: deflated "
        "0.001 (2025: 0.001), Sidak p 1\n"
        "pass | the best of 10 trials has a Sharpe ratio of 0.2408, luck gives 0.1455: deflated "
        "0.985 (2025: 0.980), Sidak p 9.7e-07\n"
    ),
    "OVF-03": (
        "fail | 10 trials are worth 10.0 independent ones (10.0 by correlation, 9.9 by rank, 9.9 by"
        " participation); counted 3\n"
        "pass | 10 trials are worth 10.0 independent ones (10.0 by correlation, 9.9 by rank, 9.9 by"
        " participation); counted 10\n"
    ),
    "OVF-04": (
        "warn | the best of 10 trials in one half is below the median of the other in 23% of 70 "
        "splits, and loses in 39%\n"
        "pass | the best of 10 trials in one half is below the median of the other in 0% of 70 "
        "splits, and loses in 1%\n"
    ),
    "OVF-05": (
        "fail | the best of 10 trials against its benchmark: p 1.000 (lower 1.000, upper 1.000, "
        "reality check 1.000); 0 trials superior\n"
        "pass | the best of 10 trials against its benchmark: p 0.001 (lower 0.001, upper 0.001, "
        "reality check 0.001); 1 trial superior\n"
    ),
    "OVF-06": (
        "fail | 0 of 1 significant among 20 looks remain after Holm's correction (0 by BH)\n"
        "pass | 1 of 1 significant among 20 looks remain after Holm's correction (1 by BH)\n"
    ),
    "OVF-07": (
        "fail | reported 0.9; folds 0.3 on average, deviation 0.3808: +1.58 deviations, luck gives "
        "the best 1.16\n"
        "pass | reported 0.3; folds 0.3 on average, deviation 0.3808: +0.00 deviations, luck gives "
        "the best 1.16\n"
    ),
    "OVF-08": (
        "fail | rank correlation of training and trading -1.00 over 5 variants, p 1\n"
        "pass | rank correlation of training and trading +1.00 over 5 variants, p 0.00833\n"
    ),
    "OVF-09": (
        "fail | 45 trials without skill reach a Sharpe ratio of 1.00 in 5.0 years; the backtest has"
        " 3.0\n"
        "pass | 45 trials without skill reach a Sharpe ratio of 1.50 in 2.2 years; the backtest has"
        " 8.0\n"
    ),
    "OVF-10": (
        "warn | the median of 4 neighbours has 14% of the winner's 1.8\n"
        "pass | the median of 4 neighbours has 86% of the winner's 1.8\n"
    ),
    "OVF-11": (
        "warn | if 1% of such strategies have a Sharpe ratio of 0.1, one that shows 0.11 has none "
        "with a chance of 90%\n"
        "pass | if 20% of such strategies have a Sharpe ratio of 0.1, one that shows 0.11 has none "
        "with a chance of 0%\n"
    ),
    "DEC-01": (
        "fail | 5 of 300 bars differ, first `decision` at 226: live long, replayed flat\n"
        "pass | 300 bars agree in 2 columns: at most 0.99% of bars differ\n"
    ),
    "DEC-02": (
        "fail | 100 of 100 decisions were made before their bar had closed\n"
        "pass | all 100 decisions were made on closed bars\n"
    ),
    "DEC-03": (
        "fail | 1 of 3 entries differ: `threshold` is 0.6 live and 0.75 in the backtest\n"
        "pass | 0 of 3 entries differ\n"
    ),
    "DEC-04": (
        "fail | PSI 2.288 (chance up to 0.034), D 0.511 (p 2.7e-119); 4 trades in 3 days, 13.8 "
        "expected (p 0.00418)\n"
        "pass | PSI 0.018 (chance up to 0.034), D 0.023 (p 0.95); 13 trades in 3 days, 13.8 "
        "expected (p 0.972)\n"
    ),
    "DEC-05": (
        "fail | fills of all slip 0.0378% on average, 0.0200% assumed: +11.5 errors, n 200\n"
        "pass | fills of all slip 0.0378% on average, 0.0500% assumed: -7.9 errors, n 200\n"
    ),
    "DEC-06": (
        "fail | 1 of 3 decisions were not made by the claimed model, first by one that was not "
        "logged\n"
        "pass | all 42 decisions were made by 9f2c\n"
    ),
    "DEC-07": (
        "fail | 4 trades match within a bar; 0 only live, 1 only in the backtest\n"
        "pass | 5 trades match within a bar; 0 only live, 0 only in the backtest\n"
    ),
}
