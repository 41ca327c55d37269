# The pictures of a report; `picture` says which. Before this script stand the data blocks $curve (coverage, risk), $chosen
# (the same of the threshold, empty without one), $reliability and $histogram (bins: low, high, images, right ones, ends of
# the interval of the share that is right).
set terminal pngcairo size 900,600 background rgb 'white'
set xlabel 'confidence'
middle(low, high) = (low+high)/2

if (picture eq 'risk_coverage') {
    set xlabel 'coverage: share of images accepted'
    set ylabel 'risk: share of errors among them'
    set xrange [0:100]
    set yrange [0:*]
    set format '%g %%'
    set rmargin 5
    set style line 1 lw 2.5 lc rgb '#1f5fa8'
    if (|$chosen| == 0) {
        plot $curve using (100*$1):(100*$2) with lines ls 1 title 'risk at coverage'
    } else {
        plot $curve using (100*$1):(100*$2) with lines ls 1 title 'risk at coverage', \
             $chosen using (100*$1):(100*$2) with points pt 7 ps 2 lc rgb '#b34700' title 'threshold of this report'
    }
}

if (picture eq 'reliability') {
    set ylabel 'accuracy'
    set xrange [0:1]
    set yrange [0:100]
    set format y '%g %%'
    set pointintervalbox 0
    set style fill solid border lc rgb '#1f5fa8'
    # the paler, the less its images say
    pale(width) = width > .42 ? .85 : 2*width
    plot $reliability using (middle($1,$2)):($3 > 0 ? 100*$4/$3 : NaN):($2-$1):(int(255*pale($6-$5))*2**24 + 0x1f5fa8) \
             with boxes lc rgb variable notitle, \
         NaN with boxes lc rgb '#1f5fa8' title 'share of right answers (pale: few images)', \
         $reliability using (middle($1,$2)):(100*$4/$3):(100*$5):(100*$6) with yerrorbars pt -1 lc rgb '#202020' \
             title '95 % interval', \
         100*x with lines dt 2 lw 2 lc rgb '#202020' title 'perfectly calibrated'
}

if (picture eq 'histogram') {
    set ylabel 'images'
    stats $histogram using 1:2 name 'bins' nooutput
    set xrange [bins_min_x:bins_max_y]
    set yrange [0:*]
    plot $histogram using (middle($1,$2)):3:($2-$1) with boxes fs solid .75 border lc rgb '#ffffff' \
             lc rgb '#1f5fa8' title 'right', \
         $histogram using (middle($1,$2)):($3-$4):($2-$1) with boxes fs pattern 4 border lc rgb '#b34700' \
             lc rgb '#b34700' title 'wrong', \
         $histogram using (middle($1,$2)):3:($3 > 0 ? sprintf('%d', $3) : '') with labels offset 0,.6 font ',9' notitle
}
